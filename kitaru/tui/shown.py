"""A question's page: what is asked, what is shown with it, the run's calls, metadata.

Owns: which widget draws which kind of block. Nothing here is parsed as markup, and no link can be followed: a text
from a run does nothing but stand there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt
from rich.text import Text
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Markdown, Static, Tree

from kitaru.text import clean
from kitaru.tui.blocks import MAX_NODES, Block, Kind, blocks_of, blocks_of_answer, leaf_text

if TYPE_CHECKING:
    from textual.widget import Widget
    from textual.widgets.tree import TreeNode

    from kitaru.project.questions import Asked, Given

OPEN_DEPTH = 2
_DIFF_STYLES = {"+": "$text-success", "-": "$text-error", "@": "$text-muted"}


def parser() -> MarkdownIt:
    """Return a parser of markdown that makes no links, images or HTML of anything: they stay the text they are."""
    made = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    return made.disable(["link", "image", "autolink", "reference", "html_inline", "html_block"])


class Page(VerticalScroll, can_focus=True):
    """The page of one question."""

    async def show(self, asked: Asked) -> None:
        """Show a question, from the top."""
        await self._draw(blocks_of(asked))

    async def show_given(self, given: Given) -> None:
        """Show an answer that was given."""
        await self._draw(blocks_of_answer(given))

    async def _draw(self, blocks: list[Block]) -> None:
        with self.app.batch_update():
            await self.remove_children()
            await self.mount_all([widget for block in blocks for widget in widgets_of(block)])
        self.scroll_home(animate=False)

    async def tell(self, text: str) -> None:
        """Show a text in place of a question."""
        await self.remove_children()
        await self.mount(Static(clean(text, lines=True), markup=False, classes="told"))


def widgets_of(block: Block) -> list[Widget]:
    """Return the widgets of a block: its title, what it shows, what was left out."""
    found: list[Widget] = []
    if block.title:
        found.append(Static(block.title, markup=False, classes="title"))
    found.append(_DRAWN[block.kind](block))
    if block.more:
        found.append(Static(f"… {clean(block.more)}", markup=False, classes="more"))
    return found


def _markdown(block: Block) -> Widget:
    return Markdown(block.text, parser_factory=parser, open_links=False)


def _table(block: Block) -> Widget:
    head, _, rows = block.text.partition("\n")
    text = Content.assemble((head, "bold $text-muted"), "\n", rows)
    return Static(text, markup=False, classes="table")


def _plain(block: Block) -> Widget:
    return Static(block.text, markup=False, classes="told")


def _difference(block: Block) -> Widget:
    lines = [(f"{line}\n", _DIFF_STYLES.get(line[:1], "")) for line in block.text.split("\n")]
    return Static(Content.assemble(*lines).rstrip(), markup=False, classes="diff")


def _tree(block: Block) -> Widget:
    if not isinstance(block.data, (dict, list)):
        return Static(leaf_text(block.data), markup=False, classes="table")
    tree: Tree[None] = Tree(Text(_bracket(block.data)), classes="tree")
    tree.show_root = False
    _grow(tree.root, block.data, [MAX_NODES], 0)
    tree.root.expand()
    return tree


def _grow(node: TreeNode[None], data: Any, left: list[int], depth: int) -> None:  # noqa: ANN401 - JSON data
    """Add what a JSON container holds below a node, as long as there is room for more nodes."""
    items = list(data.items()) if isinstance(data, dict) else list(enumerate(data))
    for number, (name, value) in enumerate(items):
        if left[0] <= 0:
            node.add_leaf(Text(f"… {len(items) - number:,} more", style="dim"))
            return
        left[0] -= 1
        label = Text(f"{clean(str(name))[:80]}: ")
        if isinstance(value, (dict, list)) and value:
            inner = node.add(label.append(_bracket(value), style="dim"), expand=depth < OPEN_DEPTH)
            _grow(inner, value, left, depth + 1)
        else:
            node.add_leaf(label.append(_bracket(value) if isinstance(value, (dict, list)) else leaf_text(value)))


def _bracket(data: object) -> str:
    return f"{{{len(data)}}}" if isinstance(data, dict) else f"[{len(data)}]" if isinstance(data, list) else ""


_DRAWN = {Kind.MARKDOWN: _markdown, Kind.TREE: _tree, Kind.TABLE: _table, Kind.DIFF: _difference, Kind.PLAIN: _plain}
