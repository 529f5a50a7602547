"""Tar archives that are made block by block, in dialects that the standard library does not write."""

GNU = b"ustar  \0"
USTAR = b"ustar\x0000"
END = b"\0" * 1024


def header(name, kind=b"0", size=0, *, link=b"", magic=USTAR, fields=(), signed=False):
    """Returns a tar header; `fields` are pairs of an offset and bytes."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148] = b"%011o\0" % size, b"00000000000\0"
    block[156:157], block[157 : 157 + len(link)], block[257 : 257 + len(magic)] = kind, link, magic
    for offset, data in fields:
        block[offset : offset + len(data)] = data
    block[148:156] = b"        "
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def member(name, kind=b"0", data=b"", **options):
    return header(name, kind, options.pop("size", len(data)), **options) + data + b"\0" * (-len(data) % 512)


def record(key, value):
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length += len(str(length)) - len(str(rest))
    return b"%d %b=%b\n" % (length, key, value)


def pax(*records, kind=b"x"):
    """Returns a pax header with these pairs of a key and a value."""
    return member(b"pax_global_header" if kind == b"g" else b"PaxHeader", kind, b"".join(record(*r) for r in records))


def sparse_1_0(name, sparse_map, data, real_size):
    """Returns a sparse file in the format 1.0 of GNU tar."""
    content = sparse_map + b"\0" * (-len(sparse_map) % 512) + data
    keys = (b"major", b"1"), (b"minor", b"0"), (b"name", name), (b"realsize", b"%d" % real_size)
    return pax(*((b"GNU.sparse." + key, value) for key, value in keys)) + member(
        b"GNUSparseFile.0/" + name, b"0", content
    )
