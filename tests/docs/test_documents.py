"""Every command in README and docs works, run in order in an empty folder, with a service running."""

import re
from pathlib import Path

import pytest

from tests.docs.documents import NOT_RUN, PAGES, Reader, blocks
from tests.support.paths import ROOT
from tests.support.service import Service


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if any(block.runs for block in blocks(page))])
def test_every_command_of_the_page_works(page: str, service: Service, tmp_path: Path) -> None:
    reader = Reader(tmp_path, service.port)
    try:
        for block in blocks(page):
            if block.runs:
                reader.run(block)
    finally:
        reader.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    for block in blocks(page):
        if block.language in ("sh", "python", "bash", "shell", "console") and not block.runs:
            assert block.remark in NOT_RUN, f"{page}, line {block.line}: ```{block.language} {block.remark}"


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_exists(page: str) -> None:

    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), f"{page} links to {target}"
