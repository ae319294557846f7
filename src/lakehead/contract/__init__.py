"""The contract, executed: an ODCS v3.1 document becomes a Contract, and a Contract becomes SQL (`column_plan`).

What the Open Data Contract Standard has no word for is written as `customProperties` of the document, or of its one
schema object:

| property | values | default |
|---|---|---|
| csvDelimiter | one ASCII character | `,` |
| csvQuote | one ASCII character | `"` |
| csvEncoding | utf-8, utf-16, latin-1, cp1252 | utf-8 |
| csvHeader | true, or false: the columns come in the contract's order | true |
| csvNullTexts | list of texts that mean null, besides the empty one | none |
| csvStrayQuotes | quarantine, keep: a quote within a field that does not begin with one | quarantine |
| onRewrite | replace, reject, append: an object comes again with other content | replace |
| onDuplicateContent | load, skip, refuse: the same content comes under another key | load |
| maxQuarantinedShare | 0 to 1: a file fails above this share of quarantined rows (and when all are) | 1 |
| rawTablePrefix | how the name of the raw table begins | `raw_` |
| processedTablePrefix | that of accepted rows | `processed_` |
| quarantineTablePrefix | that of quarantined rows | `quarantine_` |

Properties of other tools are left alone; a name that looks like one of these, misspelt, is refused.
"""

from lakehead.contract.load import contract_file, load_contract, load_contracts
from lakehead.contract.model import (
    Bound,
    Column,
    ColumnType,
    Contract,
    Dialect,
    Kind,
    Length,
    MultipleOf,
    NotMissing,
    OneOf,
    Pattern,
    QualityCheck,
    Rule,
    SourceColumn,
    Threshold,
)

__all__ = [
    "Bound",
    "Column",
    "ColumnType",
    "Contract",
    "Dialect",
    "Kind",
    "Length",
    "MultipleOf",
    "NotMissing",
    "OneOf",
    "Pattern",
    "QualityCheck",
    "Rule",
    "SourceColumn",
    "Threshold",
    "contract_file",
    "load_contract",
    "load_contracts",
]
