"""JSONata."""
from __future__ import annotations
def compile_jsonata_template(value,report,path):
    report(path,"JSONata is not supported yet")
def compile_jsonata_condition(reader):
    reader.fail("","JSONata is not supported yet")
