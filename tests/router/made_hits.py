"""Hits for tests."""

from rag.hits import Hit


def hit(text, title="", code=None, **more):
    return Hit(
        **{
            "id": f"c-{text[:8]}", "document": f"d-{text[:8]}", "title": title, "heading": (), "text": text, "start": 0, "end": len(text), "uri": None, "place": None,
            "code": code, "score": 1.0, "similarity": None, "bm25": 1.0, "rank_words": 1, "rank_meaning": None, **more,
        }
    )  # fmt: skip
