// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "detrame/core/errors.hpp"
#include "detrame/core/host_matrix.hpp"
#include "detrame/core/shape.hpp"
#ifdef DETRAME_HAS_PNG
#include <png.h>
#endif

/// Pictures of 8 bits in files: PNG where the program was built with libpng, else PGM (grey), PPM (colour).
namespace picture {

using detrame::Index;

/// One image as the library has it: channels x sites, 1 or 3 of them, black 0 and white 1.
struct Picture {
  detrame::Shape shape{1};
  detrame::HostMatrix<float> pixels;
};

inline Picture from_bytes(detrame::Shape shape, std::vector<std::uint8_t> const& bytes, float white) {
  return {shape, detrame::host_matrix<float>(shape.channels, shape.sites(), [&](Index c, Index site) {
            return static_cast<float>(bytes[static_cast<std::size_t>(c + shape.channels * site)]) / white;
          })};
}

inline std::vector<std::uint8_t> to_bytes(Picture const& p) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(p.shape.size()));
  for (std::size_t n = 0; n < bytes.size(); ++n)
    bytes[n] = static_cast<std::uint8_t>(std::lround(255 * std::clamp(p.pixels.data()[n], 0.f, 1.f)));
  return bytes;
}

#ifdef DETRAME_HAS_PNG
inline char const* extension(Picture const&) { return ".png"; }

inline void write(std::string const& file, Picture const& p) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(p.shape.width);
  image.height = static_cast<png_uint_32>(p.shape.height);
  image.format = p.shape.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  if (!png_image_write_to_file(&image, file.c_str(), 0, to_bytes(p).data(), 0, nullptr))
    throw detrame::FormatError(detrame::message(file, ": ", image.message));
}

inline Picture read_png(std::string const& file) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_file(&image, file.c_str()))
    throw detrame::FormatError(detrame::message(file, ": ", image.message));
  image.format = image.format & PNG_FORMAT_FLAG_COLOR ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  detrame::Shape const shape{image.format == PNG_FORMAT_RGB ? 3 : 1, static_cast<Index>(image.height),
                             static_cast<Index>(image.width)};
  std::vector<std::uint8_t> bytes(PNG_IMAGE_SIZE(image));
  png_color const behind{255, 255, 255};  // where the picture is transparent
  if (!png_image_finish_read(&image, &behind, bytes.data(), 0, nullptr))
    throw detrame::FormatError(detrame::message(file, ": ", image.message));
  return from_bytes(shape, bytes, 255);
}
#else
inline char const* extension(Picture const& p) { return p.shape.channels == 1 ? ".pgm" : ".ppm"; }

inline void write(std::string const& file, Picture const& p) {
  std::ofstream stream(file, std::ios::binary);
  stream << (p.shape.channels == 1 ? "P5 " : "P6 ") << p.shape.width << ' ' << p.shape.height << " 255\n";
  auto const bytes = to_bytes(p);
  stream.write(reinterpret_cast<char const*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!stream.flush()) throw detrame::FormatError(detrame::message(file, ": cannot be written"));
}

inline Picture read_png(std::string const& file) {
  throw detrame::FormatError(
      detrame::message(file, ": not a PGM or PPM file of bytes, and this program was built without libpng"));
}
#endif

/// A file of the forms P5 or P6, else PNG.
inline Picture read(std::string const& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw detrame::FormatError(detrame::message(file, ": cannot be opened"));
  char magic[2] = {};
  stream.read(magic, 2);
  if (magic[0] != 'P' || (magic[1] != '5' && magic[1] != '6')) return read_png(file);
  auto const number = [&] {
    while (stream >> std::ws && stream.peek() == '#') stream.ignore(1 << 20, '\n');
    Index value = 0;
    if (!(stream >> value) || value < 1 || value > 1 << 16)
      throw detrame::FormatError(detrame::message(file, ": a malformed header"));
    return value;
  };
  Index const width = number(), height = number(), white = number();
  if (white > 255)
    throw detrame::FormatError(detrame::message(file, ": has ", white, " levels, at most 255 are read"));
  stream.get();
  detrame::Shape const shape{magic[1] == '5' ? 1 : 3, height, width};
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(shape.size()));
  if (!stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw detrame::FormatError(
        detrame::message(file, ": is cut, expected ", bytes.size(), " bytes of pixels"));
  return from_bytes(shape, bytes, static_cast<float>(white));
}

}  // namespace picture
