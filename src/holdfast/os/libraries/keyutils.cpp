#include "holdfast/os/lazy_library.hpp"

HF_LAZY(add_key);
HF_LAZY(keyctl_invalidate);
HF_LAZY(keyctl_read);
HF_LAZY(keyctl_search);
HF_LAZY(keyctl_set_timeout);
HF_LAZY(keyctl_setperm);
HF_LAZY(keyctl_unlink);
HF_LAZY(request_key);
