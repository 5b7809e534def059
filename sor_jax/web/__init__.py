"""The page: drop a photograph, see what is seen first. Nothing leaves the machine.

`pip install sor_jax[web]` brings Gradio; `sor-jax serve` starts it.
"""

import os
import threading

import numpy as np

from sor_jax import pretrained
from sor_jax.web import show

MOST_BYTES = 25_000_000
ASPECTS = ["1:1", "4:5", "3:2", "16:9", "9:16"]
_OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def serve(
    model: str | os.PathLike = pretrained.DEFAULT, *, host: str = "127.0.0.1", port: int = 7860
) -> None:
    """Loads a model and serves the page until it is interrupted.

    Args:
      model: as of sor_jax.load.
      host: the address that is listened on; "0.0.0.0" lets other machines in.
      port: of the page.

    Raises:
      RuntimeError: Gradio is not installed.
      OSError: the port is taken.
    """
    _gradio()
    from sor_jax.ranker import load

    page = build_page(load(model))
    print(f"the page is on http://{host}:{port} (Ctrl-C ends it)", flush=True)
    launch(page, host=host, port=port)


def launch(page, *, host: str, port: int, block: bool = True) -> None:
    """Serves a page, one photograph at a time; returns at once where `block` is off."""
    gr = _gradio()
    page.queue(max_size=32, default_concurrency_limit=1).launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        ssr_mode=False,
        footer_links=[],
        enable_monitoring=False,
        max_file_size=MOST_BYTES,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=_CSS,
        prevent_thread_lock=not block,
    )


def build_page(ranker):
    """The page over a ranker, gradio.Blocks; the model is compiled meanwhile, in a thread."""
    gr = _gradio()
    threading.Thread(target=lambda: ranker(np.zeros((64, 64, 3), np.uint8)), daemon=True).start()
    examples = show.example_photographs()
    # What is uploaded and handed out is deleted after an hour.
    with gr.Blocks(title="What is seen first?", delete_cache=(600, 3600)) as page:
        gr.HTML("<h1>What is seen first?</h1>" + show.about(ranker))
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                photograph, gallery = _inputs(gr, examples)
                aspect, *cropped = _crops(gr)
            with gr.Column(scale=2, min_width=400):
                picture, shown, *rest = _results(gr)
        state = gr.State()

        def rank(path):
            ranking = _or_message(show.rank_file, ranker, path)
            ranks = [str(rank) for rank in ranking.ranks]
            handed = [gr.DownloadButton(value=f, interactive=True) for f in show.files(ranking)]
            boxes = gr.CheckboxGroup(choices=ranks, value=ranks)
            return ranking, show.annotated(ranking, ranks), boxes, show.table(ranking), *handed

        def rank_example(event: gr.SelectData):  # type: ignore[name-defined]
            return rank(examples[event.index])

        def crop(ranking, aspect):
            if ranking is None:
                return None, gr.DownloadButton(interactive=False)
            window, path = _or_message(show.crop, ranking, aspect)
            return window, gr.DownloadButton(value=path, interactive=True)

        def redraw(ranking, ranks):
            return show.annotated(ranking, ranks) if ranking else None

        ranked = [state, picture, shown, *rest]
        for event in (
            photograph.upload(rank, photograph, ranked, api_name="rank"),
            gallery.select(rank_example, None, ranked, api_visibility="private"),
        ):
            event.success(crop, [state, aspect], cropped, api_visibility="private")
        aspect.change(crop, [state, aspect], cropped, api_visibility="private")
        shown.input(redraw, [state, shown], picture, api_visibility="private")
    return page


def _inputs(gr, examples):
    photograph = gr.File(
        label=f"A photograph (up to {MOST_BYTES // 1_000_000} MB)",
        file_types=["image"],
        type="filepath",
        height=150,
        elem_id="photograph",
    )
    gallery = gr.Gallery(
        value=examples,
        label="Or one of these drawn scenes",
        columns=3,
        height=290,
        allow_preview=False,
        buttons=[],
        elem_id="examples",
    )
    return photograph, gallery


def _crops(gr):
    aspect = gr.Dropdown(
        ASPECTS,
        value="1:1",
        allow_custom_value=True,
        label="Crop to (width:height)",
        elem_id="aspect",
    )
    picture = gr.Image(
        label="What the crop keeps",
        interactive=False,
        buttons=["fullscreen"],
        height=260,
        elem_id="crop",
    )
    return aspect, picture, _download(gr, "Cropped photograph", "crop")


def _results(gr):
    picture = gr.AnnotatedImage(
        label="1 is seen first. Point at a number below to see its object alone",
        color_map=show.COLOUR_OF_RANK,
        buttons=["fullscreen"],
        elem_id="ranked",
    )
    shown = gr.CheckboxGroup(choices=[], label="Objects", elem_id="shown")
    table = gr.HTML(elem_id="table")
    with gr.Row():
        files = [
            _download(gr, name, key)
            for name, key in (("Picture", "picture"), ("JSON", "json"), ("Cut-outs", "cutouts"))
        ]
    return picture, shown, table, *files


def _download(gr, name, key):
    return gr.DownloadButton(name, interactive=False, size="sm", elem_id=f"get-{key}")


def _or_message(function, *arguments):
    """What a function returns; an error that a person can mend is shown as a message."""
    try:
        return function(*arguments)
    except (OSError, ValueError) as error:
        raise _gradio().Error(str(error), duration=None, print_exception=False) from None


def _gradio():
    """Gradio, told to ask nobody for anything."""
    for name, value in _OFFLINE.items():
        os.environ.setdefault(name, value)
    try:
        import gradio
    except ImportError as error:
        raise RuntimeError(f"the page needs Gradio: pip install 'sor_jax[web]' ({error})") from None
    return gradio


_CSS = """
.about { font-size: 0.9em; opacity: 0.8; }
table.ranks td, table.ranks th { padding: 2px 10px; text-align: right; }
footer { display: none !important; }
"""
