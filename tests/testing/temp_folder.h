// TempFolder: a folder that is nobody else's, gone with the object.
//
// Tests run side by side, in several builds and clones: no file of theirs has a name that is fixed.
// Not thread-safe.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace dgc::testing {

class TempFolder {
 public:
  TempFolder() { EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_; }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  // Of a file in it.
  std::string Path(const std::string& file) const { return path_ + "/" + file; }

 private:
  std::string path_ = ::testing::TempDir() + "leasehold-test.XXXXXX";
};

}  // namespace dgc::testing
