"""Seeds of generators, and the uniform numbers that follow from them: those of NumPy, without its generators.

Words of 32 bits that a seed and a number stand for, as in `SeedSequence`, are made by the method of O'Neill
("Developing a seed_seq alternative", 2015), modulo 2^32; numbers by PCG64 (O'Neill 2014), modulo 2^128.
"""

cdef enum:
    POOL = 4            # words that all others are made of
    MOST_WORDS = 8
    SHORT = 4096        # numbers that are drawn with the GIL, in 10 us

cdef struct Wide:       # a number of 128 bits
    unsigned long long high, low


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


cdef void fill_words(unsigned int* words, int count, unsigned long long seed, unsigned int number) noexcept:
    """Fill `words` with the first `count` of those that a seed and a number stand for."""
    cdef unsigned int pool[POOL]
    cdef unsigned int factor = <unsigned int>0x43B0D7E5
    cdef int i, j
    for i in range(POOL):   # the seed has two words, the others are 0
        pool[i] = hashed(<unsigned int>(seed >> 32 * i) if i < 2 else 0, &factor, 0x931E8875)
    for i in range(POOL):
        for j in range(POOL):
            if i != j:
                pool[j] = joined(pool[j], hashed(pool[i], &factor, 0x931E8875))
    for j in range(POOL):
        pool[j] = joined(pool[j], hashed(number, &factor, 0x931E8875))
    factor = <unsigned int>0x8B51F9DD
    for i in range(count):
        words[i] = hashed(pool[i % POOL], &factor, 0x58F38DED)


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
    cdef unsigned int words[MOST_WORDS]
    cdef int i
    if not 0 <= count <= MOST_WORDS:
        raise ValueError(f"there are at most {MOST_WORDS} words, not {count}")
    fill_words(words, count, seed, number)
    return [words[i] for i in range(count)]


cdef inline unsigned long long high_product(unsigned long long a, unsigned long long b) noexcept nogil:
    """Return the upper half of a product of two numbers of 64 bits."""
    cdef unsigned long long half = 0xFFFFFFFF
    cdef unsigned long long low = (a & half) * (b & half)
    cdef unsigned long long middle = (a >> 32) * (b & half) + (low >> 32)
    cdef unsigned long long other = (a & half) * (b >> 32) + (middle & half)
    return (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32)


cdef inline Wide stepped(Wide state, Wide increment) noexcept nogil:
    """Return the state of PCG64 after another one."""
    cdef Wide after
    cdef unsigned long long high = 0x2360ED051FC65DA4, low = 0x4385DF649FCCF645
    after.low = state.low * low
    after.high = high_product(state.low, low) + state.high * low + state.low * high
    after.low += increment.low
    after.high += increment.high + (after.low < increment.low)
    return after


cdef void draw_uniform(
    double* out, Py_ssize_t size, Wide state, Wide increment, double low, double width
) noexcept nogil:
    """Fill `out` with numbers from `low` on, in an interval of a width."""
    cdef Py_ssize_t i
    cdef unsigned long long word
    cdef int turn
    for i in range(size):
        state = stepped(state, increment)
        word, turn = state.high ^ state.low, <int>(state.high >> 58)
        word = (word >> turn) | (word << (-turn & 63))
        out[i] = low + width * (<double>(word >> 11) * (1.0 / 9007199254740992.0))


def uniform(unsigned long long seed, unsigned int number, double low, double high, double[::1] out):
    """Fill `out` with what ``default_rng(SeedSequence(seed, spawn_key=(number,))).uniform(low, high)`` draws.

    Parameters
    ----------
    seed : int
        Below 2^64.
    number : int
    low, high : float
        ``high - low`` is finite.
    out : array of float64, (numbers,)
        OUT.
    """
    cdef unsigned int words[MOST_WORDS]
    cdef unsigned long long halves[4]
    cdef Py_ssize_t i, size = out.shape[0]
    cdef Wide state, increment
    if size == 0:
        return
    fill_words(words, MOST_WORDS, seed, number)
    for i in range(4):
        halves[i] = <unsigned long long>words[2 * i + 1] << 32 | words[2 * i]
    increment.high = halves[2] << 1 | halves[3] >> 63
    increment.low = halves[3] << 1 | 1
    state.low = halves[1] + increment.low
    state.high = halves[0] + increment.high + (state.low < increment.low)
    state = stepped(state, increment)
    if size <= SHORT:
        draw_uniform(&out[0], size, state, increment, low, high - low)
    else:
        with nogil:
            draw_uniform(&out[0], size, state, increment, low, high - low)
