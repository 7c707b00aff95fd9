#include "holdfast/os/lazy_library.hpp"

HF_LAZY(curl_easy_cleanup);
HF_LAZY(curl_easy_getinfo);
HF_LAZY(curl_easy_init);
HF_LAZY(curl_easy_pause);
HF_LAZY(curl_easy_perform);
HF_LAZY(curl_easy_reset);
HF_LAZY(curl_easy_setopt);
HF_LAZY(curl_easy_strerror);
HF_LAZY(curl_global_init);
HF_LAZY(curl_multi_add_handle);
HF_LAZY(curl_multi_cleanup);
HF_LAZY(curl_multi_info_read);
HF_LAZY(curl_multi_init);
HF_LAZY(curl_multi_perform);
HF_LAZY(curl_multi_poll);
HF_LAZY(curl_multi_remove_handle);
HF_LAZY(curl_slist_append);
HF_LAZY(curl_slist_free_all);
