// upfirdn2d(x, y, f, images, (channels, height, width, out_height, out_width), (taps_y, taps_x),
//           (up_y, up_x, down_y, down_x, top, left), flip, gain, type, factors, stream)
// factors: four taps along y, then four along x, or None for any other filter.

#include "binding.h"
#include "upfirdn2d.h"

static PyObject* run(PyObject*, PyObject* arguments) {
    Upfirdn2d call = {};
    void *x, *y, *f, *stream;
    long long images;
    PyObject* factors;
    const bool read = PyArg_ParseTuple(
        arguments, "O&O&O&L(iiiii)(ii)(iiiiii)pfiOO&", to_pointer, &x, to_pointer, &y, to_pointer, &f,
        &images, &call.channels, &call.height, &call.width, &call.out_height, &call.out_width,
        &call.taps_y, &call.taps_x, &call.up_y, &call.up_x, &call.down_y, &call.down_x,
        &call.top, &call.left, &call.flip, &call.gain, &call.type, &factors, to_pointer, &stream);
    if (!read) return nullptr;
    call.x = x;
    call.y = y;
    call.f = static_cast<float*>(f);
    call.images = images;
    call.separable = factors != Py_None;
    float* a = call.rows;
    float* b = call.cols;
    if (call.separable &&
        !PyArg_ParseTuple(factors, "ffffffff", a, a + 1, a + 2, a + 3, b, b + 1, b + 2, b + 3))
        return nullptr;
    return outcome(upfirdn2d(call, stream));
}

static PyMethodDef methods[] = {{"upfirdn2d", run, METH_VARARGS, ""}, {nullptr, nullptr, 0, nullptr}};
BINDING_MODULE(methods)
