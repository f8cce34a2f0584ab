"""From a request to an answer: the URLs of Jenkins that the project and its peers use, with the order of the checks.

Nothing here waits or knows sockets: ``fake`` does. What is not here (queue, console, rename, move) is not found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.message import Message
from urllib.parse import parse_qsl, quote, unquote

from . import pages, tree
from .access import (
    ADMINISTER,
    BUILD,
    CONFIGURE,
    CONFIGURE_VIEW,
    CREATE,
    CREATE_VIEW,
    DELETE,
    DELETE_VIEW,
    EXTENDED_READ,
    READ,
    Access,
    Caller,
)
from .api import Api
from .document import Node
from .items import Item, Items
from .names import problem, unknown_type
from .pages import Answer, Refused
from .xstream import SECRET

_XML_TYPES = ("application/xml", "text/xml")
_FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass
class Request:
    """A request with its target split: ``path`` is still percent-encoded. Names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __post_init__(self) -> None:
        self.path, _, query = self.target.partition("?")
        self.query = dict(parse_qsl(query, keep_blank_values=True))

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")

    @property
    def is_form(self) -> bool:
        return (self.content_type or "").startswith(_FORM_TYPE)

    def parameter(self, name: str) -> str | None:
        """From the query, else from a form."""
        if name not in self.query and self.is_form:
            return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)).get(name)
        return self.query.get(name)

    def characters(self) -> str:
        """The body as a Reader has it (POST config.xml): the header's charset, else what this container assumes.

        Without a Content-Type at all it is read as UTF-8 (encoding.json); a form has been consumed already.

        :raises Refused: it is not in that charset
        """
        if self.is_form:
            return ""
        charset = "utf-8"
        if self.content_type is not None:
            message = Message()
            message["Content-Type"] = self.content_type
            charset = str(message.get_param("charset") or "iso-8859-1")
        try:
            return self.body.decode(charset)
        except (LookupError, UnicodeDecodeError) as error:
            raise Refused(pages.oops()) from error


@dataclass
class Site:
    """A controller: its items, who may come in, and its state."""

    items: Items
    access: Access
    url: str
    quiet: bool = False
    queued: int = 0

    def answer(self, request: Request) -> Answer:
        try:
            return self._answer(request)
        except Refused as refused:
            return refused.answer

    def _answer(self, request: Request) -> Answer:
        caller = self.access.caller(request.headers)
        segments = [unquote(each) for each in request.path.split("/") if each]
        is_validator = segments[:1] == ["pipeline-model-converter"]
        if request.method in ("POST", "PUT", "DELETE") and not is_validator:
            self.access.check_crumb(caller, request.headers)
        if segments == ["login"]:
            return pages.login(self.access.crumb(caller)[1])
        if segments[:1] == ["whoAmI"]:
            return self._api(request, Api(self.items, self.url, caller, self.quiet).who_am_i())
        if not caller.name:
            raise Refused(pages.authentication_required(self.access.crumb(caller)[1]))
        return self._item(request, caller, self.items.root, segments)

    # Where the URL leads

    def _item(self, request: Request, caller: Caller, item: Item, segments: list[str]) -> Answer:
        while len(segments) > 1 and segments[0] == "job":
            child = item.child(segments[1]) if item.is_group else None
            if child is None or not caller.may(READ):
                raise Refused(pages.not_found())
            item, segments = child, segments[2:]
        if segments[:1] == ["view"] and len(segments) > 1 and item.is_group:
            return self._view(request, caller, item, segments[1], segments[2:])
        if item.parent is None and segments[:1] != ["createItem"] and (answer := self._top(request, caller, segments)):
            return answer
        action = segments[0] if segments else ""
        if action == "api":
            return self._api(request, Api(self.items, self.url, caller, self.quiet).item(item))
        if item.is_group and action == "createView" and len(segments) == 1:
            return self._create_view(request, caller, item)
        if item.takes_items and action == "createItem" and len(segments) == 1:
            return self._create_item(request, caller, item)
        if item.parent is None or len(segments) > 1:
            raise Refused(pages.not_found())
        return self._do(request, caller, item, item.parent, action)

    def _top(self, request: Request, caller: Caller, segments: list[str]) -> Answer | None:
        """What only the controller itself has."""
        api = Api(self.items, self.url, caller, self.quiet)
        first = segments[0] if segments else ""
        if first == "me":
            return self._api(request, api.user())
        if first == "crumbIssuer":
            return self._crumb(caller)
        if first == "pluginManager":
            caller.need("hudson.model.Hudson.SystemRead" if caller.name != "admin" else ADMINISTER)
            return self._api(request, api.plugins())
        if first == "pipeline-model-converter" and segments[1:] == ["validate"]:
            return self._validate(request)
        if first in ("quietDown", "cancelQuietDown"):
            self._need_post(request)
            caller.need(ADMINISTER)
            self.quiet = first == "quietDown"
            return pages.redirect("/")
        if not segments:
            return pages.page("Dashboard - Jenkins", "Welcome to Jenkins!")
        return None

    def _crumb(self, caller: Caller) -> Answer:
        crumb, session = self.access.crumb(caller)
        answer = pages.json_page(
            {"_class": "hudson.security.csrf.DefaultCrumbIssuer", "crumb": crumb, "crumbRequestField": "Jenkins-Crumb"}
        )
        if not caller.by_token:
            answer.headers["Set-Cookie"] = f"JSESSIONID={session}; Path=/; HttpOnly"
        return answer

    def _validate(self, request: Request) -> Answer:
        """Of the validator only what can be told without Groovy."""
        self._need_post(request)
        script = request.parameter("jenkinsfile")
        if script is None:
            return pages.plain("No Jenkinsfile specified\n")
        if not re.search(r"\bpipeline\b", script):
            return pages.plain(f"Jenkinsfile content '{script}' did not contain the 'pipeline' step\n")
        missing = [section for section in ("agent", "stages") if not re.search(rf"\b{section}\b", script)]
        if missing:
            head = script.splitlines()[0]
            return pages.plain(
                "Errors encountered validating Jenkinsfile:\n"
                f'WorkflowScript: 1: Missing required section "{missing[0]}" @ line 1, column 1.\n   {head}\n   ^\n\n'
            )
        return pages.plain("Jenkinsfile successfully validated.\n")

    def _need_post(self, request: Request) -> None:
        if request.method != "POST":
            raise Refused(pages.needs_post(self.url.rstrip("/") + request.target))

    def _api(self, request: Request, exported: tree.Exported) -> Answer:
        kind = request.path.rstrip("/").rpartition("/")[2]
        if "jsonp" in request.query:
            return pages.container_page(403, "jsonp forbidden; implement jenkins.security.SecureRequester")
        try:
            wanted = request.query.get("tree")
            depth = int(request.query.get("depth") or 0)
            data = tree.whole(exported, depth) if wanted is None else tree.pick(exported, tree.parse(wanted))
        except (tree.BadTree, ValueError) as error:
            self.items.log.append(str(error))
            return pages.oops()
        if kind != "json":
            return pages.not_found()
        return pages.json_page(data, pretty=request.query.get("pretty") == "true")

    # Items

    def _create_item(self, request: Request, caller: Caller, parent: Item) -> Answer:
        self._need_post(request)
        caller.need(CREATE)
        mode = request.parameter("mode")
        if request.content_type is None and mode != "copy":
            return pages.failure("No Content-Type header set")
        name = request.parameter("name")
        if name is None:
            return pages.failure("Query parameter 'name' is required")
        name = self.items.check_new_name(parent, name)
        if mode == "copy":
            source = parent.child(request.parameter("from") or "")
            if source is None:
                return pages.failure(f"No such job: {request.parameter('from')}")
            self.items.copy(parent, name, source)
        elif (request.content_type or "").startswith(_XML_TYPES):
            self.items.create(parent, name, self.items.decoded(request.body))
            return pages.empty()
        elif mode is None:
            return pages.failure("No mode given")
        elif mode != "org.jenkinsci.plugins.workflow.job.WorkflowJob":
            return pages.failure(unknown_type(mode))
        else:
            self.items.create_empty(parent, name)
        return pages.redirect(f"{_local(parent)}job/{quote(name)}/configure")

    def _do(self, request: Request, caller: Caller, item: Item, parent: Item, action: str) -> Answer:
        if action == "config.xml":
            return self._config(request, caller, item)
        if not action and request.method == "GET":
            return pages.page(f"{item.name} - Jenkins", item.name)
        if action == "doDelete" or (not action and request.method == "DELETE"):
            if action:
                self._need_post(request)
            caller.need(DELETE)
            self.items.delete(item)
            return pages.redirect(_local(parent)) if action else pages.empty(204)
        if action in ("disable", "enable", "submitDescription", "reload"):
            self._need_post(request)
            caller.need(CONFIGURE)
            return self._change(request, item, action)
        if action == "build" and not item.is_group:
            return self._build(request, caller, item)
        raise Refused(pages.not_found())

    def _change(self, request: Request, item: Item, action: str) -> Answer:
        if action == "submitDescription":
            self.items.describe(item, request.parameter("description") or "")
        elif action == "reload":
            self.items.reload(item)
            return pages.empty()
        else:
            self.items.disable(item, action == "disable")
        return pages.redirect(_local(item))

    def _build(self, request: Request, caller: Caller, item: Item) -> Answer:
        """A build is only queued; ``FakeJenkins.build`` runs one."""
        if request.method != "POST":
            return pages.build_needs_post()
        caller.need(BUILD)
        if item.is_disabled:
            return pages.oops(409)
        self.queued += 1
        return Answer(201, b"", {"Location": f"{self.url}queue/item/{self.queued}/"})

    def _config(self, request: Request, caller: Caller, item: Item) -> Answer:
        if request.method == "GET":
            caller.need(EXTENDED_READ)
            text = item.text
            if not caller.may(CONFIGURE):
                text = re.sub(f">{SECRET.pattern}<", ">********<", text)
            return pages.xml(text)
        if request.method != "POST":
            return pages.container_page(400, "Bad Request")
        caller.need(CONFIGURE)
        self.items.update(item, request.characters())
        return pages.empty()

    # Views

    def _create_view(self, request: Request, caller: Caller, group: Item) -> Answer:
        self._need_post(request)
        caller.need(CREATE_VIEW)
        if request.content_type is None:
            return pages.failure("No Content-Type header set")
        name = (request.parameter("name") or "").strip()
        if error := problem(name):
            return pages.failure(error)
        if group.view(name) is not None:
            return pages.failure(f'A view already exists with the name "{name}"')
        if not (request.content_type or "").startswith(_XML_TYPES):
            return pages.failure("No mode given")
        self.items.create_view(group, name, self.items.decoded(request.body))
        return pages.empty()

    def _view(self, request: Request, caller: Caller, group: Item, name: str, rest: list[str]) -> Answer:
        view = group.view(name)
        if view is None:
            raise Refused(pages.not_found())
        if rest[:1] == ["job"]:
            return self._item(request, caller, group, rest)
        action = rest[0] if rest else ""
        if action == "api":
            return self._api(request, Api(self.items, self.url, caller, self.quiet).view(group, view))
        if action == "config.xml" and request.method == "GET":
            return pages.xml(self.items.xstream.save_view(view))
        if action == "config.xml" and request.method == "POST":
            caller.need(CONFIGURE_VIEW)
            self.items.update_view(group, view, request.characters())
            return pages.empty()
        if action in ("addJobToView", "removeJobFromView"):
            self._need_post(request)
            caller.need(CONFIGURE_VIEW)
            return self._list(group, view, request.parameter("name") or "", add=action == "addJobToView")
        if action == "submitDescription":
            self._need_post(request)
            caller.need(CONFIGURE_VIEW)
            self.items.describe_view(group, view, request.parameter("description") or "")
            return pages.redirect(f"{_local(group)}view/{quote(name)}/")
        if action == "doDelete":
            self._need_post(request)
            caller.need(DELETE_VIEW)
            self.items.delete_view(group, view)
            return pages.redirect(_local(group))
        raise Refused(pages.not_found())

    def _list(self, group: Item, view: Node, name: str, *, add: bool) -> Answer:
        listed = view.find("jobNames")
        if group.child(name) is None or listed is None:
            return pages.failure("Query parameter 'name' does not correspond to a known item")
        listed.children = [each for each in listed.children if each.name != "string" or each.text != name]
        if add:
            listed.children.append(Node("string", text=name, is_text=True))
        self.items.save(group)
        return pages.empty()


def _local(item: Item) -> str:
    """An item's URL without the server, as redirects have it."""
    return "/" + "".join([f"job/{quote(name)}/" for name in item.path])
