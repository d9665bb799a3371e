"""Jobs: written before sent, sent once, asked after from anywhere."""

import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from finetune.backends import load
from finetune.backends.port import Event, JobRefused, JobUnavailable, JobUncertain, Standing
from finetune.backends.scripted import Scripted
from finetune.jobs import Estimate, Jobs
from finetune.recipe import Recipe, from_data, to_data

RECIPE = Recipe(base="scripted:any", extra={"beta": 0.1})


def jobs_of(tmp_path, backend):
    return Jobs(tmp_path / "state", backends=lambda name: backend)


def test_a_recipe_survives_its_data():
    assert from_data(to_data(RECIPE)) == RECIPE
    assert RECIPE.hash != Recipe(base="scripted:other").hash


def test_the_same_order_is_the_same_job(tmp_path, dataset):
    jobs = jobs_of(tmp_path, Scripted())
    first = jobs.write(RECIPE, dataset)
    assert jobs.write(RECIPE, dataset).key == first.key
    assert first.state == "written"
    second = jobs.write(RECIPE, dataset, again=True)
    assert second.key != first.key
    assert [j.key for j in jobs.all()] == [first.key, second.key]
    with pytest.raises(JobRefused, match="2 jobs with key"):
        jobs.get(first.key[:10])


def test_sent_once_however_often_it_is_asked(tmp_path, dataset):
    backend = Scripted()
    jobs = jobs_of(tmp_path, backend)
    key = jobs.write(RECIPE, dataset).key
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: jobs.submit(key), range(8)))
    assert {j.provider_id for j in done} == {"job-1"}
    assert len(backend.submits) == 1
    assert jobs.wait(key, every_s=0).model == "scripted:tuned"


def test_a_lost_answer_is_looked_for_before_anything_is_sent_again(tmp_path, dataset):
    backend = Scripted(submits=[JobUncertain("the connection broke")], lose_answers=True)
    jobs = jobs_of(tmp_path, backend)
    key = jobs.write(RECIPE, dataset).key
    with pytest.raises(JobUncertain):
        jobs.submit(key)
    assert jobs.get(key).state == "sending"
    with pytest.raises(JobUnavailable, match="may have been sent"):
        jobs.control(key, "cancel")
    assert jobs.submit(key).provider_id == "job-1"
    assert backend.submits == [(key, False), (key, True)]
    assert len(backend.jobs) == 1


def test_what_could_not_be_sent_can_be_sent_later(tmp_path, dataset):
    backend = Scripted(submits=[JobUnavailable("429", retry_after_s=3)])
    jobs = jobs_of(tmp_path, backend)
    key = jobs.write(RECIPE, dataset).key
    with pytest.raises(JobUnavailable):
        jobs.submit(key)
    assert jobs.get(key).state == "written"
    assert jobs.submit(key).state == "running"


def test_a_refusal_is_final_and_told(tmp_path, dataset):
    jobs = jobs_of(tmp_path, Scripted(submits=[JobRefused("closed", code="403", hint="use Azure")]))
    key = jobs.write(RECIPE, dataset).key
    with pytest.raises(JobRefused, match="closed; use Azure"):
        jobs.submit(key)
    assert (jobs.get(key).state, jobs.get(key).raw) == ("failed", "403")
    assert jobs.write(RECIPE, dataset).state == "failed", "what may have been paid for is not sent twice"
    with pytest.raises(JobRefused, match=r"is over \(failed\)"):
        jobs.control(key, "resume")
    with pytest.raises(JobRefused, match="is over"):
        jobs.submit(key)


def test_standings_add_up_and_nothing_leaves_a_final_state(tmp_path, dataset):
    told = Event(time=1.0, message="Step 1", data={"loss": 2.0})
    backend = Scripted(
        [
            Standing(
                state="running",
                raw="odd_new_word",
                metrics={"loss": 2.0},
                events=(told,),
                checkpoints=("ft:1",),
            ),
            JobUnavailable("500"),
            Standing(
                state="running", raw="running", metrics={"valid": 1.0}, events=(told,), checkpoints=("ft:2",)
            ),
            Standing(
                state="succeeded", raw="succeeded", model="openai:ft:x", trained_tokens=900, cost_usd=0.5
            ),
            Standing(state="running", raw="running"),
        ]
    )
    jobs = jobs_of(tmp_path, backend)
    key = jobs.write(RECIPE, dataset).key
    jobs.submit(key)
    assert jobs.poll(key).raw == "odd_new_word"
    seen = []
    job = jobs.wait(key, every_s=0, on_change=lambda j: seen.append(j.state))
    assert seen == ["running", "running", "succeeded"]
    assert (job.model, job.trained_tokens, job.cost_usd) == ("openai:ft:x", 900, 0.5)
    assert job.metrics == {"loss": 2.0, "valid": 1.0}
    assert job.checkpoints == ("ft:1", "ft:2")
    assert jobs.events(key) == [told]
    assert jobs.poll(key).state == "succeeded"


def test_a_pause_ends_the_wait_and_a_fault_of_the_network_does_not(tmp_path, dataset):
    paused = Standing(state="paused", raw="paused")
    jobs = jobs_of(tmp_path, Scripted([paused, JobUnavailable("500", retry_after_s=7), paused]))
    key = jobs.write(RECIPE, dataset).key
    jobs.submit(key)
    assert [(j.state, pause) for j, pause in jobs.looks(key)] == [("paused", 0.0)]
    assert [(j.state, pause) for j, pause in jobs.looks(key)] == [("paused", 7.0), ("paused", 0.0)]


def test_what_a_person_must_mend_first_is_not_waited_for(tmp_path, dataset):
    refused = JobUnavailable("the key is not taken (401)", hint="set OPENAI_API_KEY", passes=False)
    jobs = jobs_of(tmp_path, Scripted([Standing(state="running", raw="running"), refused]))
    key = jobs.write(RECIPE, dataset).key
    assert [(j.state, pause) for j, pause in jobs.looks(key)] == [("written", 0.0)], (
        "nobody sends it meanwhile"
    )
    jobs.submit(key)
    with pytest.raises(JobUnavailable, match="set OPENAI_API_KEY"):
        jobs.wait(key, every_s=0)
    assert jobs.get(key).state == "running"


def test_what_nobody_sends_any_more_is_not_waited_for(tmp_path, dataset):
    """Its sender died, or lost the answer; while somebody sends it, it is waited for."""
    seen = []

    class Slow(Scripted):
        def submit(self, order, **more):
            seen.append(next(jobs.looks(order.key, every_s=7)))
            return super().submit(order, **more)

    jobs = jobs_of(tmp_path, Slow(submits=[JobUncertain("the connection broke")]))
    key = jobs.write(RECIPE, dataset).key
    with pytest.raises(JobUncertain):
        jobs.submit(key)
    assert [(j.state, pause) for j, pause in (*seen, *jobs.looks(key))] == [("sending", 7), ("sending", 0.0)]


def test_cancelled_before_and_after_it_was_sent(tmp_path, dataset):
    backend = Scripted([Standing(state="running", raw="running")])
    jobs = jobs_of(tmp_path, backend)
    early = jobs.write(RECIPE, dataset).key
    with pytest.raises(JobRefused, match="not sent yet"):
        jobs.control(early, "pause")
    assert jobs.control(early, "cancel").state == "cancelled"
    assert not backend.jobs
    late = jobs.write(RECIPE, dataset, again=True).key
    jobs.submit(late)
    assert jobs.control(late, "pause").state == "paused"
    assert jobs.control(late, "cancel").state == "cancelled"
    with pytest.raises(JobRefused, match="is over"):
        jobs.control(late, "cancel")


def test_what_may_cost_more_than_its_cap_is_not_written(tmp_path, dataset):
    jobs = jobs_of(tmp_path, Scripted())
    with pytest.raises(JobRefused, match=r"up to \$3.00, more than the cap of \$2.00"):
        jobs.write(RECIPE, dataset, cap_usd=2.0, estimate=Estimate(low=1, high=3))
    assert not jobs.all()


def test_jobs_sent_at_the_same_time_stay_within_the_cap_over_all(tmp_path, dataset):
    for round in range(20):
        jobs = Jobs(tmp_path / f"{round}", backends=lambda name: Scripted(), open_cap_usd=5.0)
        meet = threading.Barrier(2)

        def sent(seed, jobs=jobs, meet=meet):
            recipe, price = replace(RECIPE, seed=seed), Estimate(low=4.0, high=4.0)
            key = jobs.write(recipe, dataset, cap_usd=4.0, estimate=price).key
            meet.wait()
            try:
                return jobs.submit(key).state
            except JobRefused as error:
                assert "may come to $8.00, more than the cap of $5.00 over all" in str(error)
                return jobs.get(key).state

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(sent, range(2))) == ["running", "written"], round


def test_unknown_keys_and_backends_are_told(tmp_path):
    with pytest.raises(JobRefused, match="no job with key 'x'"):
        Jobs(tmp_path).get("x")
    with pytest.raises(JobRefused, match="did you mean `openai`"):
        load("openia")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_sender_that_dies_leaves_a_job_that_the_next_one_looks_for(tmp_path, dataset, moment):
    """The backend's own jobs are a file here, so that they outlive the process that is killed."""
    script = textwrap.dedent(f"""
        import os, sys
        from pathlib import Path
        from finetune.backends.scripted import Scripted
        from finetune.jobs import Jobs
        from finetune.recipe import Recipe
        there = Path({str(tmp_path / "there")!r})
        class Remote(Scripted):
            def submit(self, order, *, steps, note, perhaps_sent):
                if perhaps_sent and there.exists() and order.key in there.read_text().split():
                    return "remote"
                if sys.argv[1] == "before": os._exit(9)
                with there.open("a") as file: file.write(order.key + "\\n")
                if sys.argv[1] == "after": os._exit(9)
                return "remote"
        jobs = Jobs(Path({str(tmp_path / "state")!r}), backends=lambda name: Remote())
        key = jobs.write(Recipe(base="scripted:any"), Path({str(dataset)!r})).key
        print(jobs.submit(key).provider_id)
    """)

    def run(when):
        return subprocess.run(
            [sys.executable, "-c", script, when], capture_output=True, text=True, check=False
        )

    assert run(moment).returncode == 9
    done = run("never")
    assert done.stdout.strip() == "remote", done.stderr
    assert len((tmp_path / "there").read_text().split()) == 1
