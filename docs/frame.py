"""What stands around a page: where it is edited, and names for what the theme leaves nameless."""

from mkdocs.config.defaults import MkDocsConfig

_NAMELESS = {
    'data-md-component="search" role="dialog"': "Search",
    'data-md-component="progress" role="progressbar"': "Loading",
    'class="md-search__scrollwrap" tabindex="0"': "Results",
}
"""What the theme writes → what a screen reader says."""


def on_config(config: MkDocsConfig) -> None:
    """Pages are edited on the branch main, if the repository's address is known."""
    config.edit_uri = "edit/main/docs/" if config.repo_url else ""


def on_post_page(output: str, **_: object) -> str:
    """Name what has no name."""
    for tag, name in _NAMELESS.items():
        output = output.replace(tag, f'{tag} aria-label="{name}"')
    return output


def on_post_template(output_content: str, template_name: str, **_: object) -> str:
    """The same for the page of what is not there."""
    return on_post_page(output_content) if template_name.endswith(".html") else output_content
