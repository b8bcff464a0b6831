# Random numbers that are functions of where they are used: of a seed, a step, an op, a row and a column.
#
# Integers only, so that they are the same for every number of threads and at every SIMD level.

cdef enum:
    GOLDEN_HIGH = 0x9E3779B9    # 2^32 over the golden ratio


cdef inline unsigned long long mixed(unsigned long long x) noexcept nogil:
    """splitmix64's output function (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> 30)) * <unsigned long long>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <unsigned long long>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline unsigned long long stream(unsigned long long key, unsigned long long number) noexcept nogil:
    """Return a key that is random number `number` of another."""
    return mixed(key + (number + 1) * <unsigned long long>0x9E3779B97F4A7C15)


cdef inline unsigned int scrambled(unsigned int x) noexcept nogil:
    """Return one of 2^32 numbers for each of as many ("lowbias32", Wellons 2018)."""
    x = (x ^ (x >> 16)) * <unsigned int>0x7FEB352D
    x = (x ^ (x >> 15)) * <unsigned int>0x846CA68B
    return x ^ (x >> 16)


cdef inline void draw_along(
    unsigned int* bits, unsigned long long key, Py_ssize_t column, Py_ssize_t size
) noexcept nogil:
    """OUT bits: the random numbers, of 32 bits, of `size` columns of the row of a key, from `column` on.

    Whole vectors of 16 are written: `bits` has room for up to 15 more.
    """
    cdef unsigned int high = <unsigned int>(key >> 32)
    cdef unsigned int place = <unsigned int>column * <unsigned int>GOLDEN_HIGH + <unsigned int>key
    cdef Py_ssize_t j
    for j in range((size + 15) & ~<Py_ssize_t>15):
        bits[j] = scrambled(scrambled(place) ^ high)
        place += <unsigned int>GOLDEN_HIGH
