"""The paper's tables from finished runs, with the published numbers beside ours."""
