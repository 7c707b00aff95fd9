#include "holdfast/os/lazy_library.hpp"

HF_LAZY(fuse_add_direntry);
HF_LAZY(fuse_opt_free_args);
HF_LAZY(fuse_reply_attr);
HF_LAZY(fuse_reply_buf);
HF_LAZY(fuse_reply_entry);
HF_LAZY(fuse_reply_err);
HF_LAZY(fuse_reply_none);
HF_LAZY(fuse_reply_open);
HF_LAZY(fuse_reply_readlink);
HF_LAZY(fuse_reply_statfs);
HF_LAZY(fuse_reply_xattr);
HF_LAZY(fuse_req_userdata);
HF_LAZY(fuse_session_destroy);
HF_LAZY(fuse_session_exit);
HF_LAZY(fuse_session_exited);
HF_LAZY(fuse_session_fd);
HF_LAZY(fuse_session_mount);
HF_LAZY(fuse_session_new);
HF_LAZY(fuse_session_process_buf);
HF_LAZY(fuse_session_receive_buf);
HF_LAZY(fuse_session_unmount);
HF_LAZY(fuse_set_log_func);
