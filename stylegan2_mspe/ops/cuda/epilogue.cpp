// epilogue(call, sums, pixel_sums, stream), and split(call) -> (segments, chunks), which tell how large the
// sums are. call: pass, type, (x, gy, ggx, result, second_result), (scale, noise, bias, gamma),
// (ggscale, ggnoise, ggbias, gggamma), (noise_stride, ggnoise_stride), (rows, cols, rows_stride, cols_stride,
// rows_first), (count, channels, height, width, channels_last), (slope, gain, clamp).

#include "binding.h"
#include "epilogue.h"

static bool read(PyObject* call, Epilogue& e) {
    void* at[15];
    long long strides[4];
    const bool read = PyArg_ParseTuple(
        call, "ii(O&O&O&O&O&)(O&O&O&O&)(O&O&O&O&)(LL)(O&O&LLp)(iiiip)(ddd)", &e.pass, &e.type,
        to_pointer, at + 0, to_pointer, at + 1, to_pointer, at + 2, to_pointer, at + 3,
        to_pointer, at + 4, to_pointer, at + 5, to_pointer, at + 6, to_pointer, at + 7, to_pointer, at + 8,
        to_pointer, at + 9, to_pointer, at + 10, to_pointer, at + 11, to_pointer, at + 12,
        strides, strides + 1, to_pointer, at + 13, to_pointer, at + 14, strides + 2, strides + 3,
        &e.rows_first, &e.count, &e.channels, &e.height, &e.width, &e.channels_last, &e.slope, &e.gain,
        &e.clamp);
    e.x = at[0], e.gy = at[1], e.ggx = at[2], e.result = at[3], e.second_result = at[4];
    e.scale = at[5], e.noise = at[6], e.bias = at[7], e.gamma = at[8];
    e.ggscale = at[9], e.ggnoise = at[10], e.ggbias = at[11], e.gggamma = at[12];
    e.rows = at[13], e.cols = at[14];
    e.noise_stride = strides[0], e.ggnoise_stride = strides[1];
    e.rows_stride = strides[2], e.cols_stride = strides[3];
    return read;
}

static PyObject* run(PyObject*, PyObject* arguments) {
    Epilogue e = {};
    PyObject* call;
    void* stream;
    if (!PyArg_ParseTuple(arguments, "O!O&O&O&", &PyTuple_Type, &call, to_pointer, &e.sums, to_pointer,
                          &e.pixel_sums, to_pointer, &stream) || !read(call, e))
        return nullptr;
    split(e);
    return outcome(epilogue(e, stream));
}

static PyObject* sizes(PyObject*, PyObject* call) {
    Epilogue e = {};
    if (!PyTuple_Check(call) || !read(call, e)) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "split takes what describes a call");
        return nullptr;
    }
    split(e);
    return Py_BuildValue("ii", e.segments, e.chunks);
}

static PyMethodDef methods[] = {{"epilogue", run, METH_VARARGS, ""},
                                {"split", sizes, METH_O, ""},
                                {nullptr, nullptr, 0, nullptr}};
BINDING_MODULE(methods)
