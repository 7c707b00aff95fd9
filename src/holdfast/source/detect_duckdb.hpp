#pragma once
// The search for DuckDB files: by name first, then by the letters DUCK in the file's head.

#include "holdfast/source/detect.hpp"

namespace holdfast::source {

void find_duckdb(const DetectOptions& options, Detected& found);

}    // namespace holdfast::source
