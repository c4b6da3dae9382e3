// bias_act(pass, activation, (x, b, gy, ggx, result), count, step, size, alpha, gain, clamp, type, stream)

#include "binding.h"
#include "bias_act.h"

static PyObject* run(PyObject*, PyObject* arguments) {
    BiasAct call = {};
    void *x, *b, *gy, *ggx, *stream;
    long long count, step, size;
    const bool read = PyArg_ParseTuple(
        arguments, "ii(O&O&O&O&O&)LLLdddiO&", &call.pass, &call.activation, to_pointer, &x, to_pointer, &b,
        to_pointer, &gy, to_pointer, &ggx, to_pointer, &call.result, &count, &step, &size, &call.alpha,
        &call.gain, &call.clamp, &call.type, to_pointer, &stream);
    if (!read) return nullptr;
    call.x = x;
    call.b = b;
    call.gy = gy;
    call.ggx = ggx;
    call.count = count;
    call.step = step;
    call.size = size;
    return outcome(bias_act(call, stream));
}

static PyMethodDef methods[] = {{"bias_act", run, METH_VARARGS, ""}, {nullptr, nullptr, 0, nullptr}};
BINDING_MODULE(methods)
