// The op's Metal kernels without a Mac: run on the CPU (test/native/metal) with their host code, they compute what float64 does. Nothing here
// says that they run on a Mac, or that Apple's compiler takes them.
import { testOnCpu } from "./on-cpu.js";

testOnCpu("metal");
