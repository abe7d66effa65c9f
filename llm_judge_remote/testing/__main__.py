"""`python -m llm_judge_remote.testing` is the command `llm-judge-remote rehearse`."""

import typer

from llm_judge_remote.cli.rehearse import rehearse

if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(rehearse)
    app(prog_name="python -m llm_judge_remote.testing")
