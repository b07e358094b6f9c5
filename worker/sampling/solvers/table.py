"""The solver of each sampler that a request may name."""

from jobs.requests.samplers import SamplerName
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.dpmpp_2m import Dpmpp2M, Dpmpp2MSde
from worker.sampling.solvers.first_order import Ddim, Euler, EulerAncestral
from worker.sampling.solvers.heun import Heun
from worker.sampling.solvers.lms import Lms
from worker.sampling.solvers.pndm import Pndm
from worker.sampling.solvers.unipc import UniPc

SOLVERS: dict[SamplerName, type[Solver]] = {
    SamplerName.DDIM: Ddim,
    SamplerName.EULER: Euler,
    SamplerName.EULER_ANCESTRAL: EulerAncestral,
    SamplerName.HEUN: Heun,
    SamplerName.LMS: Lms,
    SamplerName.DPMPP_2M: Dpmpp2M,
    SamplerName.DPMPP_2M_SDE: Dpmpp2MSde,
    SamplerName.PNDM: Pndm,
    SamplerName.UNIPC: UniPc,
}
