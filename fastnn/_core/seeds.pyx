"""Seeds of generators: words of 32 bits that a seed and a number stand for, as in NumPy's `SeedSequence`.

The method is that of O'Neill ("Developing a seed_seq alternative", 2015); all arithmetic is modulo 2^32.
"""

cdef enum:
    POOL = 4            # words that all others are made of
    MOST_WORDS = 8


cdef inline unsigned int hashed(unsigned int value, unsigned int* factor, unsigned int step) noexcept:
    """Return a scrambled word; `factor` differs from call to call."""
    value ^= factor[0]
    factor[0] *= step
    value *= factor[0]
    return value ^ (value >> 16)


cdef inline unsigned int joined(unsigned int a, unsigned int b) noexcept:
    """Return one word made of two."""
    cdef unsigned int word = <unsigned int>0xCA01F9DD * a - <unsigned int>0x4973F715 * b
    return word ^ (word >> 16)


def seed_words(unsigned long long seed, unsigned int number, int count):
    """Return what ``SeedSequence(seed, spawn_key=(number,)).generate_state(count)`` does, as ints.

    Parameters
    ----------
    seed : int
        Below 2^64.
    number : int
    count : int
        At most 8.

    Returns
    -------
    list of int
    """
    cdef unsigned int pool[POOL]
    cdef unsigned int factor = <unsigned int>0x43B0D7E5
    cdef int i, j
    if not 0 <= count <= MOST_WORDS:
        raise ValueError(f"there are at most {MOST_WORDS} words, not {count}")
    for i in range(POOL):   # the seed has two words, the others are 0
        pool[i] = hashed(<unsigned int>(seed >> 32 * i) if i < 2 else 0, &factor, 0x931E8875)
    for i in range(POOL):
        for j in range(POOL):
            if i != j:
                pool[j] = joined(pool[j], hashed(pool[i], &factor, 0x931E8875))
    for j in range(POOL):
        pool[j] = joined(pool[j], hashed(number, &factor, 0x931E8875))
    factor = <unsigned int>0x8B51F9DD
    return [hashed(pool[i % POOL], &factor, 0x58F38DED) for i in range(count)]
