"""`python -m llm_judge_remote` is the command `llm-judge-remote`."""

from llm_judge_remote.cli.main import main

if __name__ == "__main__":
    main()
