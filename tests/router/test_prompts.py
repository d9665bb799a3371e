import pytest

from router.prompts import Part, Prompt, PromptMissing, Prompts, diff

PLAIN = Prompt.of("You help.\nBe brief.", no_answer="No idea.")
RULE = Part(kind="rule", name="cta", text="End with: Anything else?")
SHOWN = Part(kind="example", name="one", text="Hi", answer="Hello. Anything else?")


def test_parts_are_added_and_taken_out_one_by_one():
    more = PLAIN.with_part(RULE).with_part(SHOWN)
    assert more.system == "You help.\nBe brief.\nEnd with: Anything else?"
    assert more.examples == (
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello. Anything else?"},
    )
    assert more.without("one").without("cta") == PLAIN
    first = PLAIN.with_part(RULE, before="text")
    assert first.system == "End with: Anything else?\n\nYou help.\nBe brief."
    with pytest.raises(ValueError, match="named 'cta'"):
        more.with_part(RULE)
    with pytest.raises(KeyError, match="it has text, cta, one"):
        more.without("two")


def test_an_id_is_the_content():
    assert PLAIN.id == Prompt.of("You help.\nBe brief.", no_answer="No idea.").id
    assert len({PLAIN.id, PLAIN.with_part(RULE).id, Prompt.of("You help.\nBe brief.").id}) == 3


def test_kept_and_found_again(tmp_path):
    prompts = Prompts(tmp_path)
    made = PLAIN.with_part(SHOWN)
    assert prompts.get(prompts.add(made)) == made
    assert prompts.add(made) == made.id
    with pytest.raises(PromptMissing, match="no prompt 'x'"):
        prompts.get("x")
    (tmp_path / "prompts" / f"{made.id}.json").write_text("{}")
    with pytest.raises(PromptMissing, match="is no prompt"):
        prompts.get(made.id)


def test_a_diff_reads_as_sentences():
    lines = diff(PLAIN, PLAIN.with_part(RULE))
    assert "+End with: Anything else?" in lines
    assert diff(PLAIN, PLAIN) == []


def test_an_empty_prompt_is_no_message():
    assert Prompt.of("  ").system == ""
