// DepthToSpace: the channels of each pixel as a square of pixels.
//
// A row of the frame is an image to the window generator, of which each column is a window: Layer has the parameters of
// convolution_input_generator.hpp, for all rows one below the other.
#ifndef A2Q_DEPTH_TO_SPACE_HPP
#define A2Q_DEPTH_TO_SPACE_HPP

#include "convolution_input_generator.hpp"

namespace a2q {

template <class Numbers, class Layer>
void depth_to_space(
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &in,
    stream<Numbers, Layer::Simd, Layer::ElementWidth, Layer::ElementSigned> &out) {
  convolution_input_generator<Numbers, Layer>(in, out);
}

}  // namespace a2q

#endif
