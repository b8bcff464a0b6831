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


cdef inline unsigned int drawn(unsigned int low, unsigned int high, unsigned int column) noexcept nogil:
    """Return the random number of a column, of 32 bits; `low` and `high` are the halves of its row's key."""
    return scrambled(scrambled(column * <unsigned int>GOLDEN_HIGH + low) ^ high)
