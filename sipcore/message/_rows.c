/* The header of a plain message as its rows: what `scan.py` does in Python, for the compiled core.
 *
 * Takes nothing but what nearly all messages are: ASCII, CR LF at the end of every row and nowhere
 * else, no folding, names that `names.spellings` has. For all else the answer is None, and the
 * Python code reads the message, or says what is wrong with it. Both are held to the same results by
 * tests/sipcore/message/test_rows.py.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define MOST_ROWS 128    /* of a message; with more it is read in Python */
#define SLOTS 1024       /* of the table of names: a power of two */
#define MOST_NAMES 256   /* in it: a quarter full */

typedef struct {
    const char *name; /* as received; belongs to `held` */
    Py_ssize_t length;
    PyObject *key; /* the canonical name */
    PyObject *held;
} Spelling;

static Spelling table[SLOTS];
static int known;

static size_t slot_of(const char *name, Py_ssize_t length)
{
    const unsigned char *p = (const unsigned char *)name;
    size_t mixed = (size_t)length * 131 + p[0] * 31u + p[length / 2] * 57u + p[length - 1] * 7u;
    return mixed & (SLOTS - 1);
}

/* The canonical name, borrowed; NULL for a name that is not in the table. */
static PyObject *key_of(const char *name, Py_ssize_t length)
{
    if (length == 0) {
        return NULL;
    }
    for (size_t at = slot_of(name, length); table[at].name != NULL; at = (at + 1) & (SLOTS - 1)) {
        if (table[at].length == length && memcmp(table[at].name, name, (size_t)length) == 0) {
            return table[at].key;
        }
    }
    return NULL;
}

PyDoc_STRVAR(learn_doc, "learn(spellings: dict[str, str]) -> None\n\n"
                        "Take these names as received, with their canonical names, into the table.");

static PyObject *learn(PyObject *Py_UNUSED(module), PyObject *spellings)
{
    PyObject *name, *key;
    Py_ssize_t position = 0;

    if (!PyDict_Check(spellings)) {
        PyErr_SetString(PyExc_TypeError, "a dict is wanted");
        return NULL;
    }
    while (PyDict_Next(spellings, &position, &name, &key)) {
        Py_ssize_t length;
        const char *text = PyUnicode_AsUTF8AndSize(name, &length);
        if (text == NULL) {
            return NULL;
        }
        if (length == 0 || known >= MOST_NAMES || key_of(text, length) != NULL) {
            continue;
        }
        size_t at = slot_of(text, length);
        while (table[at].name != NULL) {
            at = (at + 1) & (SLOTS - 1);
        }
        table[at] = (Spelling){text, length, Py_NewRef(key), Py_NewRef(name)};
        known++;
    }
    Py_RETURN_NONE;
}

static int is_ascii(const char *text, Py_ssize_t length)
{
    uint64_t seen = 0, word;
    Py_ssize_t at = 0;

    for (; at + 8 <= length; at += 8) {
        memcpy(&word, text + at, 8);
        seen |= word;
    }
    for (; at < length; at++) {
        seen |= (unsigned char)text[at];
    }
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

static PyObject *string_of(const char *text, Py_ssize_t length)
{
    PyObject *made = PyUnicode_New(length, 127);
    if (made != NULL && length > 0) {
        memcpy(PyUnicode_1BYTE_DATA(made), text, (size_t)length);
    }
    return made;
}

PyDoc_STRVAR(split_doc,
             "split(data: bytes, most: int)\n"
             "    -> tuple[int, str, list[str], list[str], dict[str, str]] | None\n\n"
             "Where the header ends (before its last CR LF and the empty line), start line, canonical\n"
             "names, whole rows, and the first row of each name. None where the message is not plain,\n"
             "or its header has more than `most` bytes.");

static PyObject *split(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    const char *starts[MOST_ROWS + 1];
    Py_ssize_t lengths[MOST_ROWS + 1];
    PyObject *keys[MOST_ROWS + 1];
    Py_ssize_t rows = 0;

    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "bytes and a number are wanted");
        return NULL;
    }
    if (!PyBytes_Check(args[0])) {
        Py_RETURN_NONE; /* a bytearray may change meanwhile */
    }
    const char *text = PyBytes_AS_STRING(args[0]);
    Py_ssize_t most = PyLong_AsSsize_t(args[1]);
    if (most == -1 && PyErr_Occurred()) {
        return NULL;
    }
    /* First where everything is: nothing is made of a message that is not plain. */
    const char *at = text, *last = text + PyBytes_GET_SIZE(args[0]);
    for (;;) {
        const char *feed = memchr(at, '\n', (size_t)(last - at));
        if (feed == NULL || feed == at || feed[-1] != '\r') {
            Py_RETURN_NONE;
        }
        Py_ssize_t length = feed - 1 - at;
        if (length == 0) {
            break; /* the empty line */
        }
        if (rows > MOST_ROWS || memchr(at, '\r', (size_t)length) != NULL) {
            Py_RETURN_NONE;
        }
        if (rows > 0) {
            const char *colon = memchr(at, ':', (size_t)length);
            keys[rows] = colon == NULL ? NULL : key_of(at, colon - at);
            if (keys[rows] == NULL) {
                Py_RETURN_NONE;
            }
        }
        starts[rows] = at;
        lengths[rows] = length;
        rows++;
        at = feed + 1;
    }
    Py_ssize_t end = at - 2 - text; /* of the last row */
    if (rows == 0 || end > most || !is_ascii(text, end)) {
        Py_RETURN_NONE;
    }
    rows--; /* the start line is none */
    PyObject *length = PyLong_FromSsize_t(end);
    PyObject *start = string_of(starts[0], lengths[0]);
    PyObject *names = PyList_New(rows);
    PyObject *lines = PyList_New(rows);
    PyObject *tops = PyDict_New();
    if (length == NULL || start == NULL || names == NULL || lines == NULL || tops == NULL) {
        goto failed;
    }
    for (Py_ssize_t row = 1; row <= rows; row++) {
        PyObject *line = string_of(starts[row], lengths[row]);
        if (line == NULL) {
            goto failed;
        }
        PyList_SET_ITEM(lines, row - 1, line);
        PyList_SET_ITEM(names, row - 1, Py_NewRef(keys[row]));
        if (PyDict_SetDefault(tops, keys[row], line) == NULL) {
            goto failed;
        }
    }
    PyObject *all = PyTuple_New(5);
    if (all == NULL) {
        goto failed;
    }
    PyTuple_SET_ITEM(all, 0, length);
    PyTuple_SET_ITEM(all, 1, start);
    PyTuple_SET_ITEM(all, 2, names);
    PyTuple_SET_ITEM(all, 3, lines);
    PyTuple_SET_ITEM(all, 4, tops);
    return all;

failed:
    Py_XDECREF(length);
    Py_XDECREF(start);
    Py_XDECREF(names);
    Py_XDECREF(lines);
    Py_XDECREF(tops);
    return NULL;
}

static PyMethodDef methods[] = {
    {"learn", learn, METH_O, learn_doc},
    {"split", (PyCFunction)(void (*)(void))split, METH_FASTCALL, split_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "sipcore.message._rows",
    .m_doc = "Rows of plain messages.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__rows(void)
{
    return PyModule_Create(&definition);
}
