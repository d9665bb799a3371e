"""A double as a process of its own, scripted by a file, as a test in another language would start it."""

import json
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from finetune.doubles.__main__ import main


def test_it_prints_its_address_and_does_what_the_file_says(tmp_path):
    script = tmp_path / "script.json"
    script.write_text(
        json.dumps({"GET /models/{id}": [{"kind": "answer", "status": 429, "headers": {"Retry-After": "3"}}]})
    )
    command = [sys.executable, "-m", "finetune.doubles", "openai", "--script", str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().strip()
            request = urllib.request.Request(
                f"{address}/v1/models/gpt-4.1-2025-04-14", headers={"Authorization": "Bearer x"}
            )
            with pytest.raises(urllib.error.HTTPError) as told:
                urllib.request.urlopen(request, timeout=10)
            told.value.close()
            assert (told.value.code, told.value.headers["Retry-After"]) == (429, "3")
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert json.load(answer)["shutdown_date"] == "2027-01-14"
        finally:
            process.kill()


@pytest.mark.parametrize("text", ['{"POST /nowhere": []}', '{"POST /files": [{"colour": "red"}]}', "{"])
def test_a_wrong_script_is_told(tmp_path, capsys, text):
    script = tmp_path / "script.json"
    script.write_text(text)
    with pytest.raises(SystemExit) as left:
        main(["openai", "--script", str(script)])
    assert left.value.code == 2 and "--script" in capsys.readouterr().err
