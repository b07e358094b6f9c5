"""The models of requests and jobs, which the client shares with the service."""

from jobs.requests.embeddings import EmbeddingInfo as EmbeddingInfo
from jobs.requests.guidance import Guidance as Guidance
from jobs.requests.request import GenerateRequest as GenerateRequest
from jobs.requests.tasks import Scores as Scores
from jobs.status.hits import Hits as Hits
from jobs.status.job import Job as Job
from jobs.status.job import JobStatus as JobStatus
from jobs.status.lists import Done as Done
from jobs.status.lists import FailureList as FailureList
from jobs.status.lists import JobPage as JobPage
from jobs.status.models import AdapterInfo as AdapterInfo
from jobs.status.models import ControlInfo as ControlInfo
from jobs.status.models import ImagePromptInfo as ImagePromptInfo
from jobs.status.models import ModelInfo as ModelInfo
from jobs.status.models import TextualInversionInfo as TextualInversionInfo
from jobs.status.night import Night as Night
from jobs.status.night import NightRequest as NightRequest
from jobs.status.workers import QueueInfo as QueueInfo
from jobs.status.workers import WorkerInfo as WorkerInfo
