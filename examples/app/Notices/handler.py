"""Answers actions and shows a table: one JSON object per line in, one per line out."""

import json
import sys

TEMPLATES = [{"id": number, "name": f"Template {number}", "text": "…"} for number in range(1, 26)]


def action(question):
    values = question["config"]["values"]
    if question["action"] == "preview":
        text = f"{values['PREFIX']} {question['params'].get('text', '')}"
        return {"success": True, "message": "", "data": {"text": text, "signed": bool(values["TOKEN"])}}
    if question["action"] == "crash":
        sys.exit("asked to")
    return {"error": {"code": "unknown_action", "message": question["action"]}}


def table(question):
    rows = TEMPLATES
    if question["search"]:
        rows = [row for row in rows if question["search"].lower() in row["name"].lower()]
    if question["sort_order"] == "desc":
        rows = rows[::-1]
    start = (question["page"] - 1) * question["page_size"]
    return {"data": rows[start : start + question["page_size"]], "total": len(rows)}


for line in sys.stdin:
    asked = json.loads(line)
    answer = action(asked) if asked["type"] == "action" else table(asked)
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
