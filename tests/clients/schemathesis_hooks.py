"""What a schema cannot say of requests: how one parameter depends on another."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_valid or not case.query:
        return
    # A range that ends before it begins is rejected. Each end is tried alone.
    if "from" in case.query and "to" in case.query:
        del case.query["to"]
    # A cursor continues a list of its own order alone.
    if "cursor" in case.query:
        order_of_cursor = str(case.query["cursor"]).rsplit(".", 2)[0]
        if order_of_cursor != case.query.get("order", "started_ms"):
            del case.query["cursor"]
