#include "holdfast/os/lazy_library.hpp"

HF_LAZY(crypt_gensalt_rn);
HF_LAZY(crypt_r);
