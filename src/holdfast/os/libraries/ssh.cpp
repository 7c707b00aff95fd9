#include "holdfast/os/lazy_library.hpp"

HF_LAZY(ssh_channel_close);
HF_LAZY(ssh_channel_free);
HF_LAZY(ssh_channel_new);
HF_LAZY(ssh_channel_open_session);
HF_LAZY(ssh_channel_read);
HF_LAZY(ssh_channel_request_subsystem);
HF_LAZY(ssh_channel_write);
HF_LAZY(ssh_clean_pubkey_hash);
HF_LAZY(ssh_connect);
HF_LAZY(ssh_disconnect);
HF_LAZY(ssh_free);
HF_LAZY(ssh_get_error);
HF_LAZY(ssh_get_fingerprint_hash);
HF_LAZY(ssh_get_publickey_hash);
HF_LAZY(ssh_get_server_publickey);
HF_LAZY(ssh_is_connected);
HF_LAZY(ssh_key_free);
HF_LAZY(ssh_key_type);
HF_LAZY(ssh_key_type_to_char);
HF_LAZY(ssh_new);
HF_LAZY(ssh_options_set);
HF_LAZY(ssh_pki_import_privkey_file);
HF_LAZY(ssh_session_is_known_server);
HF_LAZY(ssh_string_free_char);
HF_LAZY(ssh_userauth_publickey);
HF_LAZY(ssh_userauth_publickey_auto);
