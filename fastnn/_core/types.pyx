"""The enums of types.pxd as Python enums; see there."""
