// A Python module from functions of integers and floats: addresses of tensors, sizes and a stream.
//
// It needs no header of torch: these take most of a minute to compile and tie what is built to one compiler's
// ABI. torch is asked in Python for addresses and the stream (custom_ops.launch).

#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

// An address comes as a Python integer, 0 for none.
inline int to_pointer(PyObject* number, void* result) {
    *static_cast<void**>(result) = PyLong_AsVoidPtr(number);
    return !PyErr_Occurred();
}

// None, or a RuntimeError with CUDA's words for what went wrong.
inline PyObject* outcome(const char* wrong) {
    if (!wrong) Py_RETURN_NONE;
    PyErr_SetString(PyExc_RuntimeError, wrong);
    return nullptr;
}

#define BINDING_JOIN(a, b) a##b
#define BINDING_INIT(name) BINDING_JOIN(PyInit_, name)
#define BINDING_QUOTE(name) #name
#define BINDING_TEXT(name) BINDING_QUOTE(name)

// Ends the file: the module has the methods of that table.
#define BINDING_MODULE(methods)                                                                              \
    static PyModuleDef module = {PyModuleDef_HEAD_INIT, BINDING_TEXT(TORCH_EXTENSION_NAME), "", -1, methods, \
                                 nullptr, nullptr, nullptr, nullptr};                                        \
    PyMODINIT_FUNC BINDING_INIT(TORCH_EXTENSION_NAME)() { return PyModule_Create(&module); }
