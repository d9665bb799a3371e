"""Jobs of the trainer on a model of two layers, for the tests that run it for real."""

from made_examples import example

from finetune import train
from finetune.datasets import save, split
from finetune.recipe import Recipe


def pairs(folder):
    """Write 27 examples to learn and 5 to look at: in fours, the last batch of each is not whole."""
    made = (example(n, rejected={"role": "assistant", "content": "No."}) for n in range(40))
    return save(split(made), folder)


def job(place, base, data, *, extra=None, **more):
    """Write a job down in `place/jobs/j` and return that folder; what it makes comes into `place/adapters`."""
    recipe = Recipe(base=f"local:{base}", extra={"look_every": 5, **(extra or {})}, **more)
    train.write_job(place / "jobs/j", key="j", recipe=recipe, dataset=data, adapters=place / "adapters")
    return place / "jobs/j"
