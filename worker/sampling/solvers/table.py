"""The solver of each sampler that a request may name."""

from jobs.requests.samplers import SamplerName
from worker.sampling.solvers.base import Solver
from worker.sampling.solvers.consistency import Lcm, Tcd
from worker.sampling.solvers.dpmpp_2m import Dpmpp2M, Dpmpp2MSde
from worker.sampling.solvers.exponential import Dpmpp2MSdeHeun, Dpmpp3MSde
from worker.sampling.solvers.first_order import Ddim, Ddpm, Euler, EulerAncestral
from worker.sampling.solvers.heun import Heun
from worker.sampling.solvers.lms import Lms
from worker.sampling.solvers.midpoint import Dpm2, Dpm2Ancestral, Dpmpp2SAncestral, DpmppSde
from worker.sampling.solvers.pndm import Pndm
from worker.sampling.solvers.restart import Restart
from worker.sampling.solvers.unipc import UniPc

SOLVERS: dict[SamplerName, type[Solver]] = {
    SamplerName.DDIM: Ddim,
    SamplerName.RESTART: Restart,
    SamplerName.EULER: Euler,
    SamplerName.EULER_ANCESTRAL: EulerAncestral,
    SamplerName.HEUN: Heun,
    SamplerName.LMS: Lms,
    SamplerName.DPMPP_2M: Dpmpp2M,
    SamplerName.DPMPP_2M_SDE: Dpmpp2MSde,
    SamplerName.PNDM: Pndm,
    SamplerName.UNIPC: UniPc,
    SamplerName.DDPM: Ddpm,
    SamplerName.DPM2: Dpm2,
    SamplerName.DPM2_ANCESTRAL: Dpm2Ancestral,
    SamplerName.DPMPP_2S_ANCESTRAL: Dpmpp2SAncestral,
    SamplerName.DPMPP_SDE: DpmppSde,
    SamplerName.DPMPP_2M_SDE_HEUN: Dpmpp2MSdeHeun,
    SamplerName.DPMPP_3M_SDE: Dpmpp3MSde,
    SamplerName.LCM: Lcm,
    SamplerName.TCD: Tcd,
}
