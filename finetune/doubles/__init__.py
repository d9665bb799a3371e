"""Doubles of the providers' fine-tuning services: local HTTP servers with state, for tests without an account.

with OpenAIDouble() as double:
    client = OpenAI(base_url=double.url, api_key="any")          # the unmodified SDK
    double.script("POST /fine_tuning/jobs", [lost()])            # the next job is made, and its answer lost

They parse what is uploaded, keep the providers' limits, fail jobs for the providers' reasons, move a job on a step whenever it
is asked after, and do what a script says per route. `python -m finetune.doubles openai` runs one from the command line.
"""
