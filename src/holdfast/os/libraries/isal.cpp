#include "holdfast/os/lazy_library.hpp"

HF_LAZY(crc32_iscsi);
HF_LAZY(crc64_ecma_refl);
HF_LAZY(crc64_jones_refl);
HF_LAZY(ec_encode_data);
HF_LAZY(ec_init_tables);
HF_LAZY(gf_gen_cauchy1_matrix);
HF_LAZY(gf_invert_matrix);
HF_LAZY(isal_deflate);
HF_LAZY(isal_deflate_init);
HF_LAZY(isal_inflate);
HF_LAZY(isal_inflate_init);
HF_LAZY(isal_inflate_reset);
