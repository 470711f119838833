"""UDF 1.02 to 2.60: physical, sparable, virtual (VAT) and metadata partitions; strategies 4 and 4096; all extents.

ECMA-167 (3rd edition) and the UDF specifications of OSTA.
"""

from .system import Udf, open, probe

__all__ = ["Udf", "open", "probe"]
