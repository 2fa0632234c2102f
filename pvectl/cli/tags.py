"""Tags: who carries which, edit them, and find those that break the convention."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import DryRun, Exclude, NeededSelectors, Selectors, TagWords, Yes, command, group

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("List, edit and check the tags of guests.")

Force = Annotated[bool, typer.Option("--force", help="Write tags that are not kebab-case, as long as PVE allows them.")]


@command(app, "list", schema="tags-list")
def list_(run: "Run", selectors: Selectors = None, exclude: Exclude = None) -> "Report":
    """List the tags in use and the guests that carry them."""
    from pvectl.cli import tag_pages
    from pvectl.cli.selection import among

    view = run.view()
    return tag_pages.listing(view, among(view, selectors, exclude=exclude), cluster=run.cluster)


@command(app, "add", schema="tags-add", quietable=True, stateful=True)
def add(
    run: "Run",
    tags: TagWords,
    selectors: NeededSelectors,
    exclude: Exclude = None,
    *,
    force: Force = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> "Report":
    """Put tags on guests; a new tag is written in kebab-case (db-backup)."""
    from pvectl.cli import tag_edits
    from pvectl.core.tagging import Edit

    words = tag_edits.words(tags, new=True, force=force)
    return tag_edits.carry_out(run, Edit(add=words), tag_edits.Request.of(selectors, exclude, yes=yes, dry_run=dry_run))


@command(app, "remove", schema="tags-remove", quietable=True, stateful=True)
def remove(
    run: "Run", tags: TagWords, selectors: NeededSelectors, exclude: Exclude = None, *, yes: Yes = False, dry_run: DryRun = False
) -> "Report":
    """Take tags off guests, however they are spelled."""
    from pvectl.cli import tag_edits
    from pvectl.core.tagging import Edit

    words = tag_edits.words(tags, new=False, force=True)
    return tag_edits.carry_out(run, Edit(remove=words), tag_edits.Request.of(selectors, exclude, yes=yes, dry_run=dry_run))


@command(app, "set", schema="tags-set", quietable=True, stateful=True)
def set_(
    run: "Run",
    tags: TagWords,
    selectors: NeededSelectors,
    exclude: Exclude = None,
    *,
    force: Force = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> "Report":
    """Give guests exactly these tags; '' takes all of them away."""
    from pvectl.cli import tag_edits
    from pvectl.core.tagging import Edit

    words = tag_edits.words(tags, new=True, force=force, may_be_empty=True)
    return tag_edits.carry_out(run, Edit(add=words, replace=True), tag_edits.Request.of(selectors, exclude, yes=yes, dry_run=dry_run))


@command(app, "lint", schema="tags-lint")
def lint(run: "Run", selectors: Selectors = None, exclude: Exclude = None) -> "Report":
    """Find tags that break the kebab-case convention, look-alikes, and tags the cluster has not registered."""
    from pvectl.cli import tag_pages
    from pvectl.cli.selection import among

    view = run.view()
    options = run.client().cluster_options()
    return tag_pages.lint(view, among(view, selectors, exclude=exclude), options, cluster=run.cluster)
