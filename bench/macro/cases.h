// The cases of bench_client, one per row of the table in ../README.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dgc::bench {

struct Arguments {
  int rounds = 0;
  double seconds = 0;
  uint64_t scale = 1;
  std::string empty;
  std::vector<std::string> owners;
};

// One measurement.
void Print(const std::string& name, double value);

void Batches(const Arguments& arguments);        // P1
void NewReferences(const Arguments& arguments);  // P2
void Renewals(const Arguments& arguments);       // P3
void Memory(const Arguments& arguments);         // P4
void Lapse(const Arguments& arguments);          // P5
void PopularObject(const Arguments& arguments);  // P6
void CostOfDirty(const Arguments& arguments);    // P7

}  // namespace dgc::bench
