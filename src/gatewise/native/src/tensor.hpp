// Torch's tensors and numpy's arrays as the engine sees them. To ask a tensor for its attributes takes longer than a whole
// step of a small layer, so it is looked at by the C functions of DLPack, which PyTorch has from 2.10 on; an array is
// looked at by the buffer protocol.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cstdint>

namespace nb = nanobind;

namespace gatewise {

// PyTorch's functions for a tensor's memory and shape: the part of DLPack's `DLPackExchangeAPI` that is used here.
struct Exchange {
    uint32_t major, minor;
    void *older, *allocate, *own, *wrap;
    int (*look)(void* object, nb::dlpack::dltensor* out);
};

// Of torch and of numpy, from when Python has registered them.
inline const Exchange* exchange = nullptr;
inline nb::handle tensor_type, parameter_type, array_type;

// A tensor or array on the CPU, as long as the caller holds it; absent where Python has None.
struct Tensor {
    static constexpr int AXES = 4;  // whose sizes are kept: none that the engine takes has more than three

    void* data = nullptr;
    int ndim = -1;
    nb::dlpack::dtype dtype{};
    bool writable = true;
    int64_t shape[AXES] = {}, strides[AXES] = {};  // strides in elements

    explicit operator bool() const { return ndim >= 0; }
    bool is(nb::dlpack::dtype_code code, int bits) const { return dtype.code == uint8_t(code) && dtype.bits == bits; }
    bool bf16() const { return is(nb::dlpack::dtype_code::Bfloat, 16); }
    bool floats() const { return is(nb::dlpack::dtype_code::Float, 32); }

    bool look(nb::handle object) { return look_at_tensor(object) || look_at_array(object); }

    // Whether it is a tensor of PyTorch's, and nothing that only behaves like one.
    bool look_at_tensor(nb::handle object) {
        if (!exchange || (!object.type().is(tensor_type) && !object.type().is(parameter_type))) return false;
        nb::dlpack::dltensor found;
        if (exchange->look(object.ptr(), &found)) {  // of a layout or on a device that DLPack has no name for
            PyErr_Clear();
            return false;
        }
        data = found.data;
        ndim = found.ndim;
        dtype = found.dtype;
        for (int axis = 0; axis < std::min(ndim, AXES); axis++) {
            shape[axis] = found.shape[axis];
            strides[axis] = found.strides[axis];
        }
        return found.device.device_type == nb::device::cpu::value;
    }

    // Whether it is an array of numpy's, of no subclass, whose elements are where their type wants them. Its memory stays
    // where it is after the buffer is released, as long as nobody resizes the array.
    bool look_at_array(nb::handle object) {
        if (!array_type || !object.type().is(array_type)) return false;
        Py_buffer buffer;
        if (PyObject_GetBuffer(object.ptr(), &buffer, PyBUF_RECORDS_RO)) {  // of a type without a format, such as times
            PyErr_Clear();
            return false;
        }
        data = buffer.buf;
        ndim = buffer.ndim;
        dtype = dtype_of(buffer.format, buffer.itemsize);
        writable = !buffer.readonly;
        const Py_ssize_t size = std::max<Py_ssize_t>(buffer.itemsize, 1);
        bool aligned = reinterpret_cast<uintptr_t>(data) % size == 0;
        for (int axis = 0; axis < std::min(ndim, AXES); axis++) {
            shape[axis] = buffer.shape[axis];
            strides[axis] = buffer.strides[axis] / size;
            aligned = aligned && (buffer.strides[axis] % size == 0 || buffer.shape[axis] <= 1);
        }
        PyBuffer_Release(&buffer);
        return aligned;
    }

private:
    // By a format of Python's module `struct`. What is not a number in the machine's byte order is of no type here.
    static nb::dlpack::dtype dtype_of(const char* format, Py_ssize_t size) {
        using Code = nb::dlpack::dtype_code;
        const uint8_t bits = static_cast<uint8_t>(8 * size);
        auto made = [&](Code code) { return nb::dlpack::dtype{static_cast<uint8_t>(code), bits, 1}; };
        if (!format || !format[0] || format[1]) return {};
        switch (format[0]) {
        case 'e': case 'f': case 'd': return made(Code::Float);
        case 'b': case 'h': case 'i': case 'l': case 'q': return made(Code::Int);
        case 'B': case 'H': case 'I': case 'L': case 'Q': return made(Code::UInt);
        case '?': return made(Code::Bool);
        default: return {};
        }
    }
};

}  // namespace gatewise

template <>
struct nanobind::detail::type_caster<gatewise::Tensor> {
    NB_TYPE_CASTER(gatewise::Tensor, const_name("torch.Tensor | numpy.ndarray | None"))

    bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
        value.ndim = -1;
        return source.is_none() || value.look(source);
    }
};
