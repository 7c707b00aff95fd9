#pragma once
// A folder of a snapshot as one stream: tar (pax, with xattrs) or zip. Nothing is held but the blobs on their way.
//
//   names    from the snapshot's root, without the first '/'; folders end with one, as restic's dump
//   left out sockets. Hard links come as files of their own
//   errors   the sink's; corrupt for what cannot be read

#include <functional>
#include <string>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

enum class ArchiveKind { tar, zip };

/// `folder` stands at `path` ("/a/b"; "" or "/" for the root); as with restic it is no entry itself. The index must be loaded.
Status dump_archive(const Repository& repository, const format::Node& folder, std::string path, ArchiveKind kind,
                    const std::function<Status(ByteView)>& sink);

}    // namespace holdfast::vault
