"""`python -m llm_judge_remote` is the command `llm-judge-remote`."""

from llm_judge_remote.cli.main import app

if __name__ == "__main__":
    app(prog_name="llm-judge-remote")
