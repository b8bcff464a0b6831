"""What an interrupt must not leave half done: claims, values that change together, BLAS's threads.

Python runs signal handlers, and trace functions, between any two of its lines.  A lock that one line takes
and another gives back may be held for ever.  So whatever must be ended is begun and ended here, in C, where
nothing comes in between: a function that needs a claim is called by `Exclusion.hold`.

The GIL protects all of this.  A fork may come while other threads hold claims; in the child, where those
threads are not, `forget` gives the claims back.
"""

import importlib
import threading

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memcpy

from fastnn._core.threads cimport atomic_fetch_add, atomic_load, atomic_store, nap, now
from fastnn._core.tuning cimport FORK_WAIT

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()

cdef enum:
    MOST_LIBRARIES = 8
    FORKING = 1 << 20       # what a fork adds to `_products`

cdef list _claims = []      # those that are taken
cdef int _family = 0        # how many forks lie between this process and the one that imported fastnn
cdef unsigned long _main_thread = threading.main_thread().ident
cdef int _n_loading = 0     # modules that threads are loading


cdef int family() noexcept:
    """Return a number that a forked child does not share with its parent."""
    return _family


cdef bint in_main_thread() noexcept:
    """Return whether the caller runs in the thread that handles signals."""
    return PyThread_get_thread_ident() == _main_thread


cdef void leave_out(list claims, Claim claim) noexcept:
    """Remove a claim from a list, where it stands near the end."""
    cdef Py_ssize_t i
    for i in range(len(claims) - 1, -1, -1):
        if claims[i] is claim:
            del claims[i]
            break


cdef class Claim:
    """What one thread at a time has, as often as it takes it."""

    cdef bint is_foreign(self) noexcept:
        """Return whether another thread has it."""
        return self.depth > 0 and self.owner != PyThread_get_thread_ident()

    cdef bint take(self) except -1:
        """Take the claim; return whether nobody else has it."""
        if self.is_foreign():
            return False
        if self.depth == 0:
            _claims.append(self)
            self.owner = PyThread_get_thread_ident()
        self.depth += 1
        return True

    cdef void give(self) noexcept:
        """Give it back, once."""
        self.depth -= 1
        if self.depth == 0:
            leave_out(_claims, self)


cdef class Exclusion(Claim):
    """A claim that functions are called with.

    Parameters
    ----------
    refuse : callable
        Returns the exception for a thread that comes while another one has the claim.

    Attributes
    ----------
    depth : int
        How often the thread that has the claim took it: a callback may come back in the midst of training.
    """

    cdef object refuse

    def __init__(self, refuse):
        self.refuse = refuse

    def hold(self, function, *arguments):
        """Return ``function(*arguments)``, called with the claim.

        Parameters
        ----------
        function : callable
        *arguments
        """
        if not self.take():
            raise self.refuse()
        try:
            return function(*arguments)
        finally:
            self.give()

    def check(self):
        """Raise what `hold` would raise for another thread's claim."""
        if self.is_foreign():
            raise self.refuse()


def hold_all(exclusions, function):
    """Return ``function()``, called with several claims, or with none of them if one is another thread's.

    Parameters
    ----------
    exclusions : sequence of Exclusion
    function : callable
    """
    cdef int held = 0
    cdef Exclusion exclusion
    cdef tuple wanted = tuple(exclusions)
    try:
        for exclusion in wanted:
            if not exclusion.take():
                raise exclusion.refuse()
            held += 1
        return function()
    finally:
        for exclusion in wanted[:held]:
            exclusion.give()


def exchange(conditions, changes):
    """Assign attributes, all of them at once, unless what they follow from has changed meanwhile.

    Parameters
    ----------
    conditions : sequence of (object, str, object)
        Attributes and what each must be, the very same object.
    changes : sequence of (object, str, object)
        Attributes and their new values.  No Python code may run when they are read or set.

    Returns
    -------
    bool
        Whether the conditions held, and the changes were made.
    """
    cdef list before = []   # old values end when all is done: Python code may run then
    for thing, name, expected in conditions:
        if getattr(thing, name) is not expected:
            return False
    for thing, name, value in changes:
        before.append(getattr(thing, name, None))
        setattr(thing, name, value)
    return True


cdef class Parameters:
    """The memory of parameters.  Who reads them sees one array or the next, never a part of each.

    Only training changes an array in place.  Everyone else brings a new one.

    Parameters
    ----------
    array : numpy.ndarray, (size,)

    Attributes
    ----------
    array : numpy.ndarray, (size,)
        The one in use.
    """

    def __cinit__(self, array):
        self.writing = Claim()
        self.reading = []
        PyObject_GetBuffer(array, &self.view, PyBUF_WRITABLE)
        self.viewed = True
        self.array = array

    def __dealloc__(self):
        if self.viewed:
            PyBuffer_Release(&self.view)

    cdef bint is_read_here(self) noexcept:
        """Return whether a run that only reads is under way in this thread, which a signal handler left."""
        cdef Claim claim
        for claim in self.reading:
            if claim.depth and not claim.is_foreign():
                return True
        return False

    @property
    def is_written(self):
        """Whether a run of training is under way."""
        return self.writing.depth > 0

    def replace(self, Exclusion exclusion, array, parts):
        """Use another array from now on: what is there, with some parts of it changed.

        Parameters
        ----------
        exclusion : Exclusion
            If another thread has it, its exception is raised.
        array : numpy.ndarray, (size,)
            Memory for it, which nobody else uses, of the same size and dtype.
        parts : sequence of (int, object with a buffer)
            The first byte of each part, and its new content, C-contiguous.

        Returns
        -------
        bool
            False if nothing was done, as a run of training is under way.
        """
        cdef Py_buffer view, part
        cdef Py_ssize_t begin
        exclusion.check()
        if self.writing.depth:
            return False
        PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
        try:
            if view.len != self.view.len:
                raise ValueError(f"the new array has {view.len} bytes, needs {self.view.len}")
            memcpy(view.buf, self.view.buf, view.len)
            for begin, content in parts:
                PyObject_GetBuffer(content, &part, 0)
                if begin < 0 or begin + part.len > view.len:
                    PyBuffer_Release(&part)
                    raise ValueError(f"bytes {begin} to {begin + part.len} leave an array of {view.len}")
                memcpy(<char*>view.buf + begin, part.buf, part.len)
                PyBuffer_Release(&part)
        except BaseException:
            PyBuffer_Release(&view)
            raise
        PyBuffer_Release(&self.view)
        self.view = view
        self.array = array
        return True


cdef class Progress:
    """How far an optimizer has come; a run of training adds to it as it ends.

    Attributes
    ----------
    steps, epochs : int
    """


cdef class Setting:
    """A context manager that gives an attribute another value for a while.

    Parameters
    ----------
    thing : object
        Whose attribute it is.
    name : str
    value : object
    """

    cdef object thing, name, value
    cdef list before

    def __init__(self, thing, name, value):
        self.thing, self.name, self.value, self.before = thing, name, value, []

    def __enter__(self):
        self.before.append(getattr(self.thing, self.name, None))
        setattr(self.thing, self.name, self.value)

    def __exit__(self, *details):
        setattr(self.thing, self.name, self.before.pop())


# -- the number of threads of BLAS, which belongs to the whole process

ctypedef int (*GetNumber)() noexcept
ctypedef void (*SetNumber)(long long number) noexcept

cdef struct Library:
    GetNumber get
    SetNumber set
    int before          # its number while nobody was inside

cdef Library _libraries[MOST_LIBRARIES]
cdef int _n_libraries = -1      # not yet known
cdef int _inside = 0            # how many callers need one thread


def know_blas(functions):
    """Say by which functions libraries' numbers of threads are read and set; only the first call counts.

    Parameters
    ----------
    functions : sequence of (int, int)
        Addresses of ``int get(void)`` and ``void set(int)``.
    """
    global _n_libraries
    cdef size_t get, set_
    cdef int count = 0
    if _n_libraries >= 0 or _inside:
        return
    for get, set_ in list(functions)[:MOST_LIBRARIES]:
        _libraries[count].get, _libraries[count].set = <GetNumber>get, <SetNumber>set_
        count += 1
    _n_libraries = count


def knows_blas():
    """Return whether `know_blas` was called."""
    return _n_libraries >= 0


cdef int enter_blas() except -1:
    """Keep BLAS at one thread until `leave_blas`, which takes what this returns."""
    global _inside
    cdef int i
    if _n_libraries < 0:
        raise RuntimeError("know_blas was not called")
    if _inside == 0:
        for i in range(_n_libraries):
            _libraries[i].before = _libraries[i].get()
            if _libraries[i].before > 1:
                _libraries[i].set(1)
    _inside += 1
    return _family


cdef void leave_blas(int family) noexcept:
    """End what `enter_blas` began; the last to leave gives BLAS its threads back."""
    global _inside
    if family != _family:       # in the child of a fork, `forget` has done it
        return
    _inside -= 1
    if _inside == 0:
        release_blas()


cdef void release_blas() noexcept:
    cdef int i
    for i in range(_n_libraries):
        if _libraries[i].before > 1:
            _libraries[i].set(_libraries[i].before)


cdef int _products = 0      # threads inside a function of BLAS, and FORKING for each that is about to fork


cdef void begin_product() noexcept nogil:
    """Be inside a function of BLAS until `end_product`; wait if a thread is about to fork.

    BLAS has a lock for its memory, which the child of a fork would find taken for ever.  The wait has an end,
    in case that the thread which would fork waits for the caller.
    """
    cdef long long since = 0
    while atomic_fetch_add(&_products, 1) >= FORKING:
        since = since or now()
        if now() - since > FORK_WAIT:
            break
        atomic_fetch_add(&_products, -1)
        while atomic_load(&_products) >= FORKING and now() - since <= FORK_WAIT:
            nap()


cdef void end_product() noexcept nogil:
    atomic_fetch_add(&_products, -1)


cdef void let_forks_pass() noexcept:
    """Wait without the GIL while a thread is about to fork: before products by a caller who keeps the GIL."""
    if atomic_load(&_products) >= FORKING:
        with nogil:
            while atomic_load(&_products) >= FORKING:
                nap()


def hold_products():
    """Let no thread begin a product, and wait until none is inside, but not for ever: before a fork."""
    cdef long long since = now()
    atomic_fetch_add(&_products, FORKING)
    with nogil:
        while atomic_load(&_products) & (FORKING - 1) and now() - since < FORK_WAIT:
            nap()


def release_products():
    """Let threads begin products again: after a fork, in the parent."""
    atomic_fetch_add(&_products, -FORKING)


cdef class SingleThreadedBlas:
    """A context manager that keeps BLAS at one thread while anyone is inside."""

    cdef list families

    def __init__(self):
        self.families = []

    def __enter__(self):
        self.families.append(enter_blas())

    def __exit__(self, *details):
        leave_blas(self.families.pop())


# -- modules that are loaded when they are first needed


def load(name):
    """Return a module, imported if it was not; a fork waits for that.

    Python keeps others from a module that is being imported, in the child of a fork for ever, as the thread
    that imports it is not there.

    Parameters
    ----------
    name : str
    """
    global _n_loading
    _n_loading += 1
    try:
        return importlib.import_module(name)
    finally:
        _n_loading -= 1


def finish_loading():
    """Wait until no thread loads a module any more, but not for ever: before a fork."""
    cdef long long since = now()
    while _n_loading and now() - since < FORK_WAIT:
        with nogil:
            nap()


def forget():
    """Give back what threads hold that are not in the child of a fork."""
    global _family, _inside, _main_thread, _n_loading
    cdef Claim claim
    _family += 1
    _n_loading = 0
    atomic_store(&_products, 0)
    _main_thread = PyThread_get_thread_ident()
    for claim in list(_claims):
        if claim.is_foreign():
            claim.depth = 1
            claim.give()
    if _inside:
        _inside = 0
        release_blas()
